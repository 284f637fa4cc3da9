#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The charge that `ovc forks` gives for a granted fork is what smaps said just before it, kB for kB: of a living redis-server,
# twice, with other data in between.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/redis.sh"
on_exit() { redis_stop; }

# The setting must stay as it is: what is mapped while it changes may be either.
if [[ ${1-} != --inside && -w /proc/sys/vm/overcommit_memory ]]; then
  overcommit.sh 2 +3G -- "$source_dir/tests/e2e/fork_charge.sh" --inside
  exit
fi

charge_kb() { awk '/^Size:/ { size = $2 } /^VmFlags:/ && / ac( |$)/ && !/ dc( |$)/ { sum += size } END { print sum }' "/proc/$redis_pid/smaps"; }
# Room for every call: jemalloc maps by the thousand in mode 2, and what was overwritten cannot be replayed.
redis_start "$work/redis" LD_PRELOAD="$shim" OVCSHIM_LOG="$work/redis.ovc" OVCSHIM_EVENTS_SIZE=256M OVCSHIM_CALLS_SIZE=0
for mib in 50 150; do
  redis_fill $mib
  charge_kb >>expected
  [[ $(redis bgsave) == "Background saving started" ]] || fail "BGSAVE was refused"
  redis_bgsave_ends
done
redis_stop
exits 0 ovc forks --json redis.ovc >forks.json
jq '.forks[] | select(.purpose == "BGSAVE") | .charge_kb' forks.json >got
same expected got "smaps (-) and ovc forks (+) differ"
cat got
