#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A storm of refusals (a program that retries, an allocator at its limit) is told once, with its count and the right cause, and one
# proof serves for all of it: counted in system calls, not timed.
. "$(dirname "$0")/../fixtures/e2e.sh"

# told LOG CAUSE COUNT: all refusals of it are one verdict
verdicts() { ovc why --json "$1" >why.json || (($? == 1)) || fail "ovc why $1"; jq -r '.verdicts[] | "\(.op) \(.errno) \(.cause) \(.count)"' why.json; }
told() {
  verdicts "$1.ovc" >got
  printf '%s\n' "${@:2}" >expected
  same expected got "verdicts of $1"
}

exits 0 under as.ovc storms as 5000
told as "mmap ENOMEM rlimit-as 5000"
exits 0 under sites.ovc storms sites 5000
told sites "mmap ENOMEM rlimit-as 2500" "mmap ENOMEM rlimit-as 2500"
exits 0 under malloc.ovc storms malloc 2000
told malloc "malloc ENOMEM rlimit-as 2000"
exits 0 under two.ovc storms two 2000
told two "mmap ENOMEM rlimit-as 4000"
# Something is granted before each: what changed is read anew, and the cause is as certain.
exits 0 under granted.ovc storms granted 2000
told granted "mmap ENOMEM rlimit-as 2000"

# The refusals of one storm refer to the first one's proof; ovc show says so.
ovc show --failed --json as.ovc >show.json || (($? == 1))
(($(jq -s '[.[] | select(.op == "mmap")] | length' show.json) == 5000)) || fail "not every refusal is in the log"

max=$(</proc/sys/vm/max_map_count)
if ((max <= 200000)); then
  exits 0 under maps.ovc storms maps 5000 $((max - 2000))
  verdicts maps.ovc >got
  finds '^mmap ENOMEM max-map-count 5000$' got
  ! grep -q unknown got || { cat got >&3; fail "a storm with many mappings is not proven"; }
fi

if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
  # Own system calls of the shim for N refusals; less for those that a shorter storm makes.
  traced() {
    rm -f traced.ovc
    strace -f -c -o counts.txt -E LD_PRELOAD="$shim" -E OVCSHIM_LOG="$work/traced.ovc" storms "$@" >out || fail "strace storms $*"
    awk '$NF ~ /^(gettid|getpid|clock_gettime|openat|close|pread64|rt_sigprocmask|process_vm_readv|prlimit64|readlinkat|statx)$/ { sum += $4 } END { print sum + 0 }' counts.txt
  }
  few=$(traced as 100) many=$(traced as 10100)
  echo "10,000 refusals more in a storm: $((many - few)) system calls of the shim"
  ((many - few < 20000)) || fail "each refusal of a storm makes system calls"
  few=$(traced granted 100) many=$(traced granted 3100)
  echo "3,000 refusals more with something granted between: $((many - few)) system calls of the shim"
  ((many - few < 60000)) || fail "a refusal with something granted before it makes too many system calls"
fi
