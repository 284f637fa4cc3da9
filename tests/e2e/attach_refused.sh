#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Where `ovc attach` does not attach: each reason in words, and the process untouched.
. "$(dirname "$0")/../fixtures/e2e.sh"
[[ $(uname -m) == x86_64 ]] || skip "attaching is for x86-64"
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
if unshare -m true 2>/dev/null; then
  sleeps unshare -m bash -c "mount -t tmpfs none '$build' && exec sleep 600"
  refused 'sees other files than ovc does \(a container, or a mount namespace of its own\)'
else
  echo "left out: no mount namespaces"
fi
echo "all refused"
