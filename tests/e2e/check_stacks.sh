#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `ovc check PID --stacks`: where each thread is, the lock that a forked child hangs on, refusals, and that a look changes nothing.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/untouchable.sh"
pids=()
on_exit() { exec 9>&- 8>&-; for pid in "${pids[@]}"; do kill -CONT "$pid"; kill -KILL "$pid"; done 2>/dev/null || true; }

# begins NAME ARGUMENT...: the program with its input open on descriptor 9, its pid in `pid`, when it says that it is ready
begins() {
  mkfifo "$1.in"
  : >"$1.out"  # before it is looked into
  "$@" <"$1.in" >"$1.out" 2>"$1.err" &
  pid=$!
  pids+=("$pid")
  exec 9>"$1.in"
  until [[ $(<"$1.out") == *ready* ]]; do kill -0 "$pid"; done
}

begins many_threads 8
for _ in {1..20}; do exits 0 ovc check "$pid" --stacks >stacks; done
finds "^many_threads \(pid $pid\): 10 threads, alive for [0-9.]+ [mu]?s, stopped for [0-9.]+ [mu]?s$" stacks
(($(grep -c '^thread ' stacks) == 10)) || fail "a stack for each thread"
finds '^  read\+0x[0-9a-f]+ \(libc.so.6\)' stacks
finds '^  main\+0x[0-9a-f]+ \(many_threads\) .*many_threads.c:[0-9]+' stacks
finds '^  (_start|__libc_start_main.*)\+0x' stacks
# main may be on its way back into read, where the last look ended
for ((looks = 1; ; ++looks)); do
  exits 0 ovc check "$pid" --stacks --json >json
  jq -e --argjson pid "$pid" '.[0].threads[] | select(.tid == $pid) | .call == "read"' json >out && break
  ((looks < 100)) || fail "main is not in read: $(cat json)"
done
jq -e 'length == 1 and (.[0].threads | length) == 10 and all(.[0].threads[]; .frames | length > 0)' json >out
jq -e --argjson pid "$pid" '.[0].threads[] | select(.tid == $pid) | .call == "read" and .end == "bottom" and
  any(.frames[]; .function == "main")' json >out
exec 9>&-
wait "$pid" || fail "the program noticed: $(cat many_threads.err)"
finds 'all right' many_threads.out

# A child that was forked while another thread held a lock.
begins orphaned_lock
exits 1 ovc check "$(sed -n 's/^child //p' orphaned_lock.out)" --stacks >stacks
finds 'waits for the lock at 0x[0-9a-f]+ \(orphaned_lock\+0x[0-9a-f]+\), held by thread [0-9]+, which this process does not have: held in the parent when it forked this one, [0-9.]+ (ms|s|min) ago$' stacks
pids+=("$(sed -n 's/^child //p' orphaned_lock.out)")
exec 9>&-

# What cannot be done is said, and why.
refused() {
  local text=$1
  shift
  exits 2 "$@" >out 2>err
  finds "$text" err
}
refused '^ovc: no process 4194303$' ovc check 4194303 --stacks
sleep 600 &
pid=$!
pids+=("$pid")
refused_while_traced "$pid" ovc check "$pid" --stacks
begins_zombie
refused 'has ended already \(a zombie' ovc check "$zombie" --stacks
if ((EUID == 0)) && id nobody >/dev/null 2>&1; then
  cp "$build/ovc" ./ovc
  chmod 755 . ovc
  refused 'belongs to another user \(uid 0\); run ovc as root|kernel.yama.ptrace_scope is' setpriv --reuid=nobody --clear-groups ./ovc check "$pid" --stacks
fi
echo "all right"
