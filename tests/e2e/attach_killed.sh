#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `ovc attach` and `ovc detach` killed at a ptrace call, or refused one by the kernel: the program goes on unharmed, ovc says
# what was the matter, and afterwards it can be attached to and detached from as ever. OVC_ATTACH_STRIDE: each how manyth call.
# Without the few calls that answer EINTR to any stop: only an ovc that lives can put that right (tools/attach/tracee.h).
. "$(dirname "$0")/../fixtures/e2e.sh"
[[ $(uname -m) == @(x86_64|aarch64) ]] || skip "attaching is for x86-64 and aarch64"
command -v strace >/dev/null || skip "no strace"
stride=${OVC_ATTACH_STRIDE:-23}
on_exit() { exec 9>&-; [[ -z $pid ]] || kill -KILL "$pid" 2>/dev/null || true; }
pid=
mkfifo in
# begins COMMAND...: the program, when it is ready
begins() {
  : >many.out  # before it is looked into
  "$@" <in >many.out 2>many.err &
  pid=$!
  exec 9>in
  until [[ $(<many.out) == *ready* ]]; do kill -0 "$pid"; done
}
ends() {
  exec 9>&-
  wait "$pid" || fail "the program noticed: $(cat many.err)"
  finds 'all right' many.out
  pid=
}
begins many_threads 4 hasty

# under_strace WHAT COMMAND...: 0, 2: as ovc; 137: killed
under_strace() {
  local what=$1 status=0
  shift
  strace -qq -o calls -e trace=ptrace -e "inject=ptrace:$what" "$@" >said 2>err || status=$?
  echo "$status"
}
counts() {
  strace -qq -o calls -e trace=ptrace "$@" >said || fail "$*"
  grep -c '^ptrace(' calls
}
whole=$(counts ovc attach "$pid" -o "$work/count.ovc")
whole_end=$(counts ovc detach "$pid")
# Each stop more is time in which all threads stand still: the shim's steps run without any.
stops=$(grep -c '^ptrace(PTRACE_SYSCALL,' calls)
((stops <= 60)) || fail "ovc detach: $stops stops at system calls"
malloc=$(counts ovc attach --malloc "$pid" -o "$work/malloc.ovc")
malloc_end=$(counts ovc detach "$pid")
# As ever: one way or another it ends detached.
is_well() {
  kill -0 "$pid" || fail "the program has ended: $1"
  ovc detach "$pid" >said 2>err || grep -q 'is not recorded' err || fail "$1: then detach: $(cat err)"
  rm -f well.ovc
  ovc attach "$pid" -o "$work/well.ovc" >said 2>err || fail "$1: then attach: $(cat err)"
  ovc detach "$pid" >said 2>err || fail "$1: then detach: $(cat err)"
}
tried=0 malloc_too=
# try LAST WHAT COMMAND...
try() {
  local last=$1 what=$2 n status
  shift 2
  for ((n = ${first:-1}; n <= last; n += stride * ${coarser:-1})); do
    rm -f tried.ovc
    [[ $1 != detach ]] || ovc attach ${malloc_too:+"$malloc_too"} "$pid" -o "$work/tried.ovc" >said
    status=$(under_strace "$what:when=$n" ovc "$@")
    case $status in
      0 | 137) ;;
      2) finds '^ovc: ' err ;;
      *) fail "$what at call $n of $*: status $status" ;;
    esac
    tried=$((tried + 1))
    is_well "$what at call $n of ovc $*"
  done
}
try "$whole" signal=SIGKILL attach "$pid" -o "$work/tried.ovc"
try "$whole_end" signal=SIGKILL detach "$pid"
# where the pointers to malloc are changed and given back
first=2 coarser=3 try "$malloc" signal=SIGKILL attach --malloc "$pid" -o "$work/tried.ovc"
malloc_too=--malloc first=2 coarser=2 try "$malloc_end" signal=SIGKILL detach "$pid"
coarser=2 try "$whole" error=EIO attach "$pid" -o "$work/tried.ovc"
first=3 coarser=3 try "$malloc" error=EIO attach --malloc "$pid" -o "$work/tried.ovc"
malloc_too=--malloc first=3 coarser=2 try "$malloc_end" error=EIO detach "$pid"
malloc_too=
ends

# From another pid namespace ovc is not seen: the thread waits for it a second, then goes on by itself.
if unshare --pid --fork true 2>/dev/null; then
  begins unshare --pid --fork --kill-child "$build/programs/many_threads" 4 hasty
  outer=$pid
  pid=$(<"/proc/$outer/task/$outer/children")
  pid=${pid%% *}
  for ((n = 1; n <= whole; n += stride * 2)); do
    rm -f tried.ovc
    status=$(under_strace "signal=SIGKILL:when=$n" ovc attach "$pid" -o "$work/tried.ovc")
    [[ $status == 0 || $status == 137 ]] || fail "another pid namespace: killed at call $n: status $status: $(cat err)"
    tried=$((tried + 1))
    is_well "another pid namespace: killed at call $n"
  done
  pid=$outer
  ends
fi

# The same where the library comes in as a file in memory: no descriptor stays, in the end.
if unshare -m true 2>/dev/null; then
  cp "$build/programs/many_threads" ./elsewhere
  begins unshare -m bash -c "mount -t tmpfs none '$build' && exec ./elsewhere 4 hasty"
  for ((n = 3; n <= whole; n += stride * 3)); do
    rm -f tried.ovc
    status=$(under_strace "signal=SIGKILL:when=$n" ovc attach "$pid" -o "$work/tried.ovc")
    [[ $status == 0 || $status == 137 ]] || fail "elsewhere: killed at call $n: status $status: $(cat err)"
    tried=$((tried + 1))
    is_well "elsewhere: killed at call $n"
    # once the loader has the library, the file is brought in no more: a new process each time
    descriptors=$(find "/proc/$pid/fd" -lname '/memfd:*')
    [[ -z $descriptors ]] || fail "elsewhere: killed at call $n: a descriptor stays: $descriptors"
    ends
    begins unshare -m bash -c "mount -t tmpfs none '$build' && exec ./elsewhere 4 hasty"
  done
  ends
fi
echo "$tried of $((3 * whole + whole_end + malloc + malloc_end)) calls tried"
