#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A seccomp filter that answers clone or clone3 with an errno that the kernel has for it, too: proven as the filter's.
# Where a limit refuses under a filter that has nothing against it, it is the limit.
. "$(dirname "$0")/../fixtures/e2e.sh"
[[ $(getconf GNU_LIBC_VERSION) > "glibc 2.33" ]] || skip "before glibc 2.34 threads and programs are not started by clone3"
refused_syscalls under clone3 ENOSYS true || skip "no seccomp filters here"

# refuses CALL CLONE ERRNO: the program's CALL under a filter that answers CLONE with ERRNO; the verdict is in why.json
refuses() {
  rm -f log.ovc
  refused_syscalls under "$2" "$3" env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/log.ovc" refused "call:$1" >said ||
    fail "$1 under $2 $3: $(<said)"
  exits 1 ovc why --json log.ovc >why.json
}
# is CAUSE [SUMMARY]: the only verdict
is() {
  jq -e --arg cause "$1" --arg text "${2-}" '.verdicts | length == 1 and .[0].cause == $cause and (.[0].summary | contains($text))' why.json >out ||
    fail "not $1: $(jq -c '[.verdicts[] | {cause, summary}]' why.json)"
}

for error in EPERM EACCES EAGAIN ENOMEM ENOSPC; do
  for call in fork _Fork; do
    refuses "$call" clone "$error"
    is seccomp
  done
done
for error in EPERM EAGAIN ENOMEM; do
  for call in posix_spawn posix_spawnp; do
    refuses "$call" clone3 "$error"
    is seccomp "it answers clone3, by which libc starts programs and threads, with $error"
  done
done
for error in EPERM EAGAIN; do
  refuses pthread_create clone3 "$error"
  is seccomp "with $error"
done
refuses popen clone3 EAGAIN
is seccomp "with EAGAIN"
# by a kernel that has no clone3, as the filter says, libc asks clone
refuses fork clone EAGAIN
is seccomp "it answers clone with EAGAIN"

# The filter has nothing to do with it.
refused_syscalls under clone3 ENOSYS env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/limit.ovc" refused limit:as:vmsize+1M call:pthread_create >said || fail "the stack: $(<said)"
exits 1 ovc why --json limit.ovc >why.json
is rlimit-as
echo "all right"
