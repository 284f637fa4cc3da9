#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Refusals by SELinux in force, with a policy of types that may do everything but one thing (selinux_policy.conf): executable memory,
# children; and root whose capabilities the policy does not let it use, so that limits hold for it that /proc/PID/status
# says it is free of. Permissive, nothing is refused. Only for a machine of one's own (tests/kernels), started with security=selinux.
#   selinux.sh [WORD]    only those with WORD in their names
# Last line: `figures RIGHT UNKNOWN WRONG`.
. "$(dirname "$0")/../../fixtures/e2e.sh"
only=${1-}
. "$(dirname "$0")/told.sh"
policy=$(dirname "$0")/selinux_policy
selinux=/sys/fs/selinux
mount -t selinuxfs selinuxfs $selinux 2>/dev/null || skip "SELinux is not switched on in this kernel (security=selinux)"
[[ -e $policy ]] || skip "no policy: checkpolicy was missing where the disk was made (tests/setup.sh kernels)"
dd if="$policy" of=$selinux/load bs=1M status=none || fail "the kernel does not take the policy: $(dmesg | grep -i selinux | tail -n 3)"
[[ $(tr -d '\0' </proc/self/attr/current) == *:kernel_t:* ]] || fail "the policy gives us another type"
echo 1 >$selinux/enforce

for kind in anon shared noreserve file; do
  told "mmap executable $kind" security-module -- label:no_execmem_t "call:mmap-executable:$kind:1M"
done
for kind in anon shared noreserve; do
  told "mprotect executable $kind" security-module -- label:no_execmem_t "call:mprotect-executable:$kind:1M"
done
told "heap executable" security-module -- label:no_execmem_t call:heap-executable:1M
told "file written to, executable" security-module -- label:no_execmem_t call:written-file-executable:1M
for call in fork _Fork vfork clone clone3-by-number pthread_create; do
  told "no children: $call" security-module -- label:no_fork_t "call:$call"
done
# The limit holds for root: CAP_IPC_LOCK is in its effective set, and denied.
told "mlock without the capability" rlimit-memlock -- limit:memlock:64K label:no_capabilities_t call:mlock-of:anon:1M
# With the capability in use these would be refused as well, for what the memory is.
told "mlock of no access without the capability" unknown -- limit:memlock:64K label:no_capabilities_t call:mlock-of:none:1M
told "mlock of a file without the capability" unknown -- limit:memlock:64K label:no_capabilities_t call:mlock-of:file:1M
told "mlockall without the capability" rlimit-memlock -- limit:memlock:64K label:no_capabilities_t call:mlockall
told "MAP_LOCKED without the capability" rlimit-memlock -- limit:memlock:64K label:no_capabilities_t call:mmap-locked:1M
told "nothing lockable without the capability" rlimit-memlock -- limit:memlock:0K label:no_capabilities_t call:mlock:1M
told "MAP_LOCKED, nothing lockable" rlimit-memlock -- limit:memlock:0K label:no_capabilities_t call:mmap-locked:1M
# What is not SELinux's is not told as its.
told "RLIMIT_AS" rlimit-as -- label:no_execmem_t limit:as:vmsize+64M call:mmap:100M
told "a file that is read-only" bad-argument -- label:no_execmem_t call:mmap-not-writable
told "MAP_LOCKED of a user" rlimit-memlock -- uid:61001 limit:memlock:64K label:no_execmem_t call:mmap-locked:1M

# `ovc check` asks the policy: check_says NAME TYPE FILTER WANTED, of a process of that type
mkfifo checked.in
exec 9<>checked.in
own=$(tr -d '\0\n' </proc/self/attr/current)
check_says() {
  local name=$1 label=${own/kernel_t/$2} filter=$3 wanted=$4 said pid
  [[ $name == *"$only"* ]] || return 0
  (printf %s "$label" >/proc/self/attr/current && read -r -u 9 _) &
  pid=$!
  until [[ $(tr -d '\0\n' <"/proc/$pid/attr/current") == "$label" ]]; do [[ -e /proc/$pid ]] || break; done
  ovc check --json "$pid" >check.json || (($? == 1)) || true
  said=$(jq -r ".processes[0] | $filter" check.json)
  echo >&9
  wait "$pid" || said+=", and it could not be labelled"
  if [[ $said == "$wanted" ]]; then right=$((right + 1)); else wrong=$((wrong + 1)) && echo "check, $name: $said, not $wanted" && cat check.json; fi
}
admin='"\(.mode2.admin_reserve_kb) \([.notes[] | select(contains("CAP_SYS_ADMIN"))] | length)"'
reserve_kb=$(</proc/sys/vm/admin_reserve_kbytes)
check_says "children denied" no_fork_t '"\(.verdict) \(.cause)"' "fail security-module"
check_says "children granted" kernel_t '"\(.verdict) \(.cause)"' "pass null"
check_says "CAP_SYS_ADMIN denied" no_capabilities_t "$admin" "$reserve_kb 0"
check_says "CAP_SYS_ADMIN granted" kernel_t "$admin" "0 0"

# Permissive: all of it is granted.
echo 0 >$selinux/enforce
check_says "permissive" no_fork_t '"\(.verdict) \(.cause)"' "pass null"
for call in mmap-executable:anon:1M mprotect-executable:anon:1M heap-executable:1M written-file-executable:1M; do
  status=0
  under log.ovc refused label:no_execmem_t "call:$call" >refused.out || status=$?
  if ((status == 1)); then right=$((right + 1)); else wrong=$((wrong + 1)) && echo "permissive: $call: status $status $(<refused.out)"; fi
  rm -f log.ovc
done
figures
