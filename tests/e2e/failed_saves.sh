#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# It was not memory: saves of a real redis-server that exit 1, on a file system that is full and on one that is read-only; the fork
# passed, and ovc says so with the error of the child.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/redis.sh"
command -v redis-server >/dev/null || skip "redis-server is not installed"
if [[ -z ${OVC_TEST_MOUNTS-} ]]; then
  unshare -m true 2>/dev/null || skip "no mount namespace of its own here"
  exec unshare -m env OVC_TEST_MOUNTS=1 "$source_dir/tests/e2e/failed_saves.sh"
fi
on_exit() { redis_stop; umount "$work/full" "$work/still" 2>/dev/null || true; }
mkdir full still
mount -t tmpfs -o size=300k none full || skip "no tmpfs can be mounted"
mount -t tmpfs none still
saves=3

# fails DIR: all saves
fails() {
  redis_start "$work/data.$1" LD_PRELOAD="$shim" OVCSHIM_LOG="$work/$1.ovc" -- --enable-protected-configs yes
  redis_fill 4
  redis config set rdbcompression no >/dev/null
  redis config set dir "$work/$1" >/dev/null
  [[ $1 != still ]] || mount -o remount,ro "$work/still"
  for ((i = 0; i < saves; i++)); do
    redis bgsave >/dev/null
    redis_bgsave_ends
  done
  [[ $(redis info persistence) == *rdb_last_bgsave_status:err* ]] || fail "$1: a save passed"
}
# told DIR ERRNO
told() {
  exits 1 ovc why "$work/$1.ovc" >"$1.txt"
  finds "^$saves of $saves save children of redis-server \(pid $redis_pid\) exited 1 after [0-9.]+ .?s" "$1.txt"
  finds "^  cause +the forks passed: memory is not the cause" "$1.txt"
  finds "^  asked by .*\(BGSAVE\)" "$1.txt"
  finds "^  errno +$2 was the last error" "$1.txt"
  finds "^  to do .*CONFIG GET dir" "$1.txt"
  ovc forks "$work/$1.ovc" >"$1.forks" || true
  (($(grep -c "exited, 1 (errno was $2)" "$1.forks") == saves)) || { cat "$1.forks" >&3; fail "$1: forks"; }
  [[ $(ovc why --json "$work/$1.ovc" | python3 -c 'import json, sys; d = json.load(sys.stdin)["children"][0]; print(d["story"], d["failed"], d["status"], d["errno"])') == "children-failed $saves 1 $2" ]] ||
    fail "$1: JSON"
}
fails full
told full ENOSPC
redis_stop
fails still
told still EROFS

# Saves that pass, and one that the server itself stops, are no finding.
redis_stop
redis_start "$work/data.good" LD_PRELOAD="$shim" OVCSHIM_LOG="$work/good.ovc"
redis_fill 8
redis bgsave >/dev/null
redis_bgsave_ends
redis config set rdb-key-save-delay 10000 >/dev/null
redis bgsave >/dev/null
redis flushall >/dev/null  # stops it
redis_bgsave_ends
exits 0 ovc why "$work/good.ovc" >good.txt
finds "^nothing was refused and nobody was killed" good.txt
