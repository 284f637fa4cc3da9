#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Programs that do what makes preloading hard: they must end as they end without the shim, and what they did must be in
# the log as far as the shim can see it.
. "$(dirname "$0")/../fixtures/e2e.sh"

# Every way to make a process.
process_calls >plain.out
under "$work/process.ovc" process_calls >shim.out 2>shim.err || fail "process_calls: exit status $?"
same plain.out shim.out "process_calls"
[[ ! -s shim.err ]] || { cat shim.err; fail "process_calls: messages"; }
ovc show process.ovc --op fork,_Fork,vfork,clone,pthread_create >calls || (($? == 1))
for call in fork _Fork vfork clone pthread_create; do finds "(^|[^_a-zA-Z])$call\(" calls; done
[[ $(compgen -G '*.ovc') == process.ovc ]] || fail "one log for the tree"

# A sandbox that kills, or that refuses everything.
for kind in errno kill strict; do
  under "$work/$kind.ovc" sandboxed $kind >out 2>err || fail "sandboxed $kind: exit status $?"
  [[ $(<out) == "done" ]] || fail "sandboxed $kind"
  exits 0 ovc stats $kind.ovc >out
done
# What it starts there may be recorded or not; what it was given was not read, and nothing is said of it.
under "$work/exec.ovc" sandboxed exec "$(command -v hello_static)" >out 2>err || fail "sandboxed exec: exit status $?"
exits 0 ovc why exec.ovc >out
finds 'left no records: the process that started it had a seccomp filter of its own' out
! grep -q 'without LD_PRELOAD' out || fail "said what is not known"

# No descriptors, another root, another user.
if ((EUID == 0)); then
  mkdir empty
  under "$work/strange.ovc" strange_home "$work/empty" || fail "strange_home: exit status $?"
  [[ -z $(ls -A empty) ]] || fail "something was written into the new root"
  ovc show strange.ovc --op fork,mmap >calls || (($? == 1))
  finds 'fork\(\) = [0-9]+' calls
  finds 'mmap\(NULL, 5054464,' calls
fi

# A daemon: its child is in the log of the program that was started.
under "$work/daemon.ovc" daemonizes "$work/status"
for _ in {1..1200}; do [[ ! -s status ]] || break; sleep 0.05; done
[[ $(<status) == 9 ]] || fail "daemonizes"
ovc forks daemon.ovc >out || (($? == 1))
finds '9' out

# No loader, no shim: it runs, and ovc run says what it could not see.
exits 0 ovc run -o "$work/static.ovc" -- "$build/programs/hello_static" >out 2>err
finds '^hello$' out
finds '^ovc: ' err

# exec keeps the log; ovc run gives the program's exit status.
exits 3 ovc run -o "$work/exec.ovc" -- sh -c 'exec sh -c "exit 3"' 2>err
# A percent sign of a folder's name is no placeholder.
mkdir '100%cpu' && (cd '100%cpu' && exits 0 ovc run -o log.ovc -- true 2>err)
[[ -s 100%cpu/log.ovc ]] || fail "no log in 100%cpu: $(ls -R 100%cpu)"
exits 2 ovc run -o "$work/none.ovc" -- ./no-such-program 2>err
