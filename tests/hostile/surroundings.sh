#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Programs that make their own surroundings hostile: no descriptors, low limits, another root, another user, sandboxes, new namespaces,
# locked memory, a debugger. They print what they print without the shim and end as they end without it, and the log can be read.
# shellcheck disable=SC2016  # variables of jq
. "$(dirname "$0")/../fixtures/e2e.sh"
((EUID == 0)) || skip "needs root: chroot, unshare, other users"

# at_home OUT CMD...: a daemon among them has finished when its end of the pipe is closed. The exit status is in OUT.status.
at_home() {
  local out=$1
  shift
  { "$@" 2>"$out.err" && echo 0 >"$out.status" || echo $? >"$out.status"; } 2>/dev/null | cat >"$out"
}
readable() { ovc stats "$1" >stats.out 2>&1 || (($? == 1)) || { cat stats.out >&3; fail "ovc stats $1"; }; }

# The fork behind the failed attempts has figures that were read for it: the shim has not fallen silent.
fork_is_read() {
  ovc forks --json "$1" >forks.json || (($? == 1))
  jq -e '[.forks[] | select(.comm == "surroundings") | .committed_as_change_kb != null and (.asked_by | length) > 0] == [true]' forks.json >/dev/null || { cat forks.json >&3; fail "after failed seccomp calls"; }
}

mapfile -t homes < <(surroundings)
((${#homes[@]} > 20)) || fail "surroundings does not list itself"
for home in "${homes[@]}"; do
  [[ $home != mlock_* ]] || continue
  at_home plain.out timeout 20 surroundings "$home"
  for internals in 0 1; do
    log=$work/$home$internals.ovc
    at_home shim.out env LD_PRELOAD="$shim" OVCSHIM_LOG="$log" OVCSHIM_LIBC_INTERNALS=$internals timeout 20 surroundings "$home"
    same plain.out shim.out "$home, OVCSHIM_LIBC_INTERNALS=$internals"
    same plain.out.status shim.out.status "$home, OVCSHIM_LIBC_INTERNALS=$internals: exit status"
    same plain.out.err shim.out.err "$home, OVCSHIM_LIBC_INTERNALS=$internals: messages"
    readable "$log"
    [[ $home != seccomp_* ]] || { finds '^0$' plain.out.status; finds 'forked\(\): 7' shim.out; }
    ovc show "$log" --op mmap >calls || (($? == 1))
    finds 'mmap\(NULL, 5054464,' calls
    [[ $home != asks_seccomp ]] || fork_is_read "$log"
    [[ $internals == 0 ]] || continue
    rm -f "$log"
  done
done

# Who made whom, where the child has another number in its own namespace and where its parent is gone.
forks() { ovc forks --json "$1" >forks.json || (($? == 1)); }
linked() { jq -e "$1" forks.json >/dev/null || { cat forks.json >&3; fail "$2"; }; }
forks newpid1.ovc
linked '[.forks[] | select(.asked_by[1] == "new_pids" and .failed == false)] | length == 1 and .[0].child.pid > 1 and .[0].child.end == "exited, 7"' \
  "the child in a new pid namespace"
forks double_fork1.ovc
linked '[.forks[] | select(.asked_by[0] == "double_fork")] as $two | ($two | length) == 2 and $two[1].pid == $two[0].child.pid' "double fork: child and grandchild"
linked '[.forks[] | select(.asked_by[0] == "double_fork")][1].child.pid as $daemon | [.forks[] | select(.pid == $daemon and .child.end == "exited, 7")] | length == 1' \
  "what the grandchild forked"

# mlockall(MCL_CURRENT) compares all that is mapped with RLIMIT_MEMLOCK: the program needs more for the shim's code and figures, but
# none for the log.
surroundings mlock_current >plain.out
finds 'mlockall\(MCL_CURRENT\): 0,' plain.out
under "$work/lock.ovc" surroundings mlock_current 1536 >shim.out
same plain.out shim.out "mlockall(MCL_CURRENT) with 1,536 kB more of RLIMIT_MEMLOCK"

# Where it may lock everything, the log stays out of what is locked.
locked() { sed -n 's/^VmLck: \([0-9]*\),.*/\1/p' "$1"; }
surroundings mlock_kb >plain.out
under "$work/lock3.ovc" surroundings mlock_kb >shim.out
same <(grep mlockall plain.out) <(grep mlockall shim.out) "mlockall as root"
echo "locked: $(locked shim.out) kB, $(locked plain.out) kB without the shim"
(($(locked shim.out) - $(locked plain.out) <= 1024)) || fail "the log is locked"

# Under a debugger that sees each call, and under one that stops at each fork.
if command -v strace >/dev/null; then
  under "$work/strace.ovc" strace -f -o strace.txt -E LD_PRELOAD="$shim" surroundings core >shim.out || fail "strace: exit status $?"
  surroundings core >plain.out
  same plain.out shim.out "under strace"
  readable strace.ovc
fi
if command -v gdb >/dev/null; then
  gdb -q -nx -batch -ex "set environment LD_PRELOAD $shim" -ex "set environment OVCSHIM_LOG $work/gdb.ovc" -ex "set startup-with-shell off" \
    -ex "set follow-fork-mode parent" -ex "catch fork" -ex run -ex bt -ex continue --args "$build/hostile/surroundings" core >gdb.out 2>&1 </dev/null
  finds 'forked\(\): 7, errno 0' gdb.out
  finds 'exited normally' gdb.out
  readable gdb.ovc
fi
