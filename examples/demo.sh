#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shows: Debian's unmodified redis-server, whose BGSAVE the kernel refuses (vm.overcommit_memory = 2), and what ovc says.
#   Installs what is missing, builds, and puts every setting back. Needs root; says what it cannot show without.
# Run:   ./examples/demo.sh
# Expect, from `ovc check`, from redis-server and then from `ovc why`:
#   a fork of redis-server (pid ...) would be refused now (vm.overcommit_memory = 2)
#   ...Can't save in background: fork: Cannot allocate memory
#   fork refused with ENOMEM at ... in redis-server (pid ...)
#   asked by ... rdbSaveBackground ... (BGSAVE)
#   cause commit limit reached (vm.overcommit_memory = 2)
#   charge ... kB over ... mappings; refused at ...
#   headroom ... kB = CommitLimit ... - Committed_AS ... - user reserve ...
#   short by ... kB (the kernel's own counter may be off by ...)
#   would pass mode 0: yes mode 1: yes ...
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
build=${OVC_BUILD:-build}
log=$build/demo.ovc
data_mib=1600  # more than the 1 GiB left free for the rest of the machine

say() { printf '\n== %s\n' "$*"; }

# The part under other settings: this script again, see below.
if [[ ${1-} == --inside ]]; then
  work=$(mktemp -d /var/tmp/ovc-demo.XXXXXX)
  . tests/fixtures/redis.sh
  trap 'redis_stop; rm -rf "$work"' EXIT
  rm -f "$log"
  say "redis-server under LD_PRELOAD=$build/libovcshim.so, $data_mib MiB of data"
  redis_start "$work" LD_PRELOAD="$(realpath "$build/libovcshim.so")" OVCSHIM_LOG="$(realpath -m "$log")"
  redis_fill "$data_mib"
  # Just before the fork, so that what other programs do meanwhile does not matter.
  [[ $2 != 2 ]] || tests/fixtures/overcommit.sh 2 +1030M
  foretold=$("$build/ovc" check "$redis_pid") || (($? == 1))
  answer=$(redis bgsave)
  echo "pid $redis_pid, port $redis_port; vm.overcommit_memory = $(</proc/sys/vm/overcommit_memory)"
  grep -E '^(CommitLimit|Committed_AS)' /proc/meminfo
  say "ovc check $redis_pid, before it is tried (no shim needed)"
  tee "$build/demo.check" <<<"$foretold"
  say "redis-cli BGSAVE"
  echo "$answer"
  redis_bgsave_ends
  grep -E "Can't save in background|Background saving (started|terminated)" "$work/redis.log" || true
  exit
fi

say "Packages and build"
tests/setup.sh demo
tests/configure.sh "$build" -DOVC_TESTS="${OVC_TESTS:-OFF}" >/dev/null
cmake --build "$build" --target ovc ovcshim -j"$(nproc)" | tail -n 1
(($(awk '/^MemAvailable/ { print $2 }' /proc/meminfo) > (data_mib + 600) * 1024)) ||
  { echo "This machine has less than $((data_mib + 600)) MiB of memory available: the demo would crowd it." >&2; exit 77; }

status=0
tests/fixtures/overcommit.sh 2 "+$((data_mib + 1600))M" -- "$here/demo.sh" --inside 2 || status=$?
if ((status == 77)); then
  say "Not shown: the refusal. Only root may set vm.overcommit_memory; here is the same BGSAVE as it is treated now"
  "$here/demo.sh" --inside now
elif ((status)); then
  exit "$status"
else
  echo "Settings are back: vm.overcommit_memory = $(</proc/sys/vm/overcommit_memory)"
fi

say "ovc why $log"
found=0
"$build/ovc" why "$log" || found=$?
((found <= 1)) || exit "$found"
printf '\nNext: %s/ovc plan %s\n      %s/ovc show --op fork --stacks %s\n' "$build" "$log" "$build" "$log"
