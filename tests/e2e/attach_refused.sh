#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Where `ovc attach` does not attach: each reason in words, and the process untouched.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/untouchable.sh"
[[ $(uname -m) == @(x86_64|aarch64) ]] || skip "attaching is for x86-64 and aarch64"
pids=()
on_exit() { for pid in "${pids[@]}"; do kill -KILL "$pid"; done 2>/dev/null || true; }

# sleeps COMMAND...: it, in the background, when it sleeps; its pid in `pid`
sleeps() {
  "$@" &
  pid=$!
  pids+=("$pid")
  until [[ $(<"/proc/$pid/comm") == sleep && $(<"/proc/$pid/wchan") == *nanosleep* ]]; do kill -0 "$pid"; done
}
# refused TEXT: and nothing of the shim is in it
refused() {
  exits 2 ovc attach "$pid" -o "$work/no.ovc" >said 2>err
  finds "^ovc: .*$1" err
  [[ ! -s said && ! -e no.ovc ]] || fail "something was done: $1"
  kill -0 "$pid"
}
sleeps sleep 600
kill -STOP "$pid"
until [[ $(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$pid/status") == T ]]; do :; done
refused "is stopped; let it go on first: kill -CONT $pid$"
kill -CONT "$pid"
exits 2 ovc detach "$pid" 2>err
finds 'is not recorded: the shim is not in it' err
touch there.ovc
exits 2 ovc attach "$pid" -o "$work/there.ovc" 2>err
finds 'there.ovc is there already; name another log with -o' err
exits 2 ovc attach "$pid" -o "$work/missing/no.ovc" 2>err
finds 'is not recorded: .*No such file or directory' err
exits 2 ovc attach nonsense 2>err
finds 'nonsense is no process number' err

sleeps env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/preloaded.ovc" sleep 600
refused "is recorded already, in $work/preloaded.ovc"
sleeps env LD_PRELOAD="$shim" OVCSHIM=0 sleep 600
refused 'was started with the shim: it is in it already'
exits 2 ovc detach "$pid" 2>err
finds 'was started with the shim: it stays in it until it ends' err
if [[ -r /proc/2/comm && $(<"/proc/2/comm") == kthreadd ]]; then
  pid=2
  exits 2 ovc attach 2 2>err
  finds 'kthreadd \(pid 2\) is a kernel thread' err
fi

# Programs of other kinds, which wait; what is not installed is left out.
cat >waits.c <<'C'
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#ifdef GO
__asm__(".section .note.go.buildid,\"a\",@note\n.long 4, 4, 4\n.asciz \"Go\\0\"\n.asciz \"abc\"\n.previous");
#endif
int main(int argc, char** argv) {
  const int vforks = argc > 1 && !strcmp(argv[1], "vfork");
  char byte;
  if (vforks) {
    const int child = vfork();
    if (child == 0) {
      printf("%d\n", getpid());
      fflush(stdout);
      while (read(0, &byte, 1) == 1) continue;
      _exit(0);
    }
    return child < 0;
  }
  printf("%d\n", getpid());
  fflush(stdout);
  while (read(0, &byte, 1) == 1) continue;
  return 0;
}
C
mkfifo in
# kind TEXT COMMAND...: what it says when it waits is the process that is refused
kind() {
  local text=$1 parent
  shift
  : >"said.waits"
  "$@" <in >said.waits 2>/dev/null &
  parent=$!
  pids+=("$parent")
  exec 9>in
  until [[ -s said.waits ]]; do kill -0 "$parent" 2>/dev/null || { echo "left out: $*"; exec 9>&-; return; }; done
  pid=$(<said.waits)
  refused "$text"
  if [[ -n ${then-} ]]; then
    pid=$parent
    refused "$then"
  fi
  exec 9>&-
  wait "$parent" || fail "$* noticed"
}
# built NAME COMPILER...
built() { local name=$1; shift; "$@" -o "$name" waits.c >"$name.cc" 2>&1 || { echo "left out: $*"; return 1; }; }
cc=${CC:-cc}
! built static "$cc" -static || kind 'is linked statically: it has no loader that could load the shim; .ovc check. works on it' ./static
! built go "$cc" -static -DGO || kind 'is a Go program: it makes its system calls without libc' ./go
! built musl musl-gcc || kind 'runs on musl libc: the shim can attach to programs on glibc only' ./musl
! built bits32 "$cc" -m32 || kind 'is a program of another kind \(32-bit, or another machine' ./bits32
if built vforks "$cc"; then
  then='no thread stood where the loader may be called \(thread [0-9]+: it waits for its child of vfork\)' \
    kind "uses the memory of its parent, pid [0-9]+ \(a child of vfork that has executed nothing yet\)" ./vforks vfork
fi
if ((EUID == 0)) && id nobody >/dev/null 2>&1 && built plain "$cc"; then
  chmod 755 .
  cp "$build/ovc" ./ovc
  cp plain secure
  chmod 4755 secure
  kind 'is a set-uid program' setpriv --reuid=nobody --clear-groups ./secure
  sleeps sleep 600
  exits 2 setpriv --reuid=nobody --clear-groups ./ovc attach "$pid" 2>err
  finds "belongs to another user \(uid 0\); run ovc as root|kernel.yama.ptrace_scope is" err
fi
sleeps sleep 600
refused_while_traced "$pid" ovc attach "$pid"
begins_zombie
pid=$zombie
refused 'has ended already \(a zombie'
scope=/proc/sys/kernel/yama/ptrace_scope
[[ -r $scope ]] || echo "left out: no Yama"
echo "all refused"
