#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Which process of this machine is the one that a log tells of, where numbers or clocks differ: two containers whose process 1 began in the
# same clock tick, a process in another time namespace, one below a chroot without /proc. Each is found, or said to be not known; never
# taken for another, and never for one that ended.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/servers.sh"
((EUID == 0)) || skip "only root can make such namespaces here"
unshare --mount --pid --fork --mount-proc true 2>why || skip "namespaces cannot be made here: $(<why)"
pids=()
on_exit() { ((${#pids[@]} == 0)) || kill -KILL "${pids[@]}" 2>/dev/null || true; }
ticks() { awk '{ sub(/.*\) /, ""); print $20 }' "/proc/$1/stat" 2>/dev/null || true; }
child() { local pids; pids=$(cat "/proc/$1/task/$1/children" 2>/dev/null || true); echo "${pids%% *}"; }
# sleeper LOG WORD...: a sleep under the shim behind `unshare WORD...`, which becomes its parent; sets pid to its number here
sleeper() {
  local log=$1
  shift
  unshare "$@" --fork --kill-child=KILL env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/$log" OVCSHIM_EVENTS_SIZE=1M OVCSHIM_CALLS_SIZE=0 \
    sleep 1000 3>&- &
  pids+=($!)
}
# begun N LOG: of the last processes that were started the N-th from the end
begun() { [[ $(cat "/proc/$(child "${pids[-$1]}")/comm" 2>/dev/null || true) == sleep && -e $2 ]] && ovc why "$2" >/dev/null 2>&1; }
both_begun() { begun 2 a.ovc && begun 1 b.ovc; }
told_pid() { ovc check --json "$1" | jq '.processes[0].pid'; }

# --- the same number, the same clock tick
for ((try = 0; try < 50; try++)); do
  sleeper a.ovc --pid --mount --mount-proc
  sleeper b.ovc --pid --mount --mount-proc
  until_so 10 "two containers" both_begun
  a=$(child "${pids[-2]}") b=$(child "${pids[-1]}")
  [[ $(ticks "$a") != "$(ticks "$b")" ]] || break
  kill -KILL "${pids[-2]}" "${pids[-1]}"
  wait "${pids[-2]}" "${pids[-1]}" 2>/dev/null || true
  unset 'pids[-1]' 'pids[-1]'
  rm -f a.ovc b.ovc
done
if ((try < 50)); then
  [[ $(told_pid a.ovc) == "$a" && $(told_pid b.ovc) == "$b" ]] || fail "$(told_pid a.ovc) and $(told_pid b.ovc), not $a and $b"
  kill -KILL "$a"
  wait "${pids[-2]}" 2>/dev/null || true
  exits 2 ovc check a.ovc 2>gone.txt
  finds 'no process of a.ovc runs any more' gone.txt
  [[ $(told_pid b.ovc) == "$b" ]] || fail "b after the end of a: $(told_pid b.ovc)"
  ovc why a.ovc >why.a || true
  finds 'sleep \(pid 1\)' why.a
  ovc why b.ovc >why.b
  ! grep -F 'gone' why.b || fail "b lives"
else
  echo "not tested: two containers in one clock tick did not come about"
fi

# --- the first process of a namespace ends: the others are killed with it, and that is said of them
# shellcheck disable=SC2016  # for the inner shell
if unshare -pf --kill-child true 2>/dev/null; then
  mkfifo begun.fifo never
  exits 0 env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/stopped.ovc" unshare -pf --kill-child \
    bash -c 'bash -c "echo begun >begun.fifo; read -r _ <never" & read -r _ <begun.fifo; exit 0'
  exits 0 ovc why stopped.ovc >why.stopped
  finds 'no exit recorded.*The first process of its pid namespace, bash \(pid 1\), has ended' why.stopped
fi

# --- another clock
if unshare --time --boottime 100000 --fork true 2>/dev/null; then
  sleeper time.ovc --time --boottime 100000
  until_so 10 "a process with another clock" begun 1 time.ovc
  ovc why time.ovc >why.time
  ! grep -E 'gone|no exit|ended' why.time || fail "it lives: $(<why.time)"
else
  echo "not tested: no time namespaces here"
fi

# --- no /proc: its start time is not in the log
. "$source_dir/tests/fixtures/box.sh"
box_root bare malloc_1tb
env LD_PRELOAD=/opt/libovcshim.so OVCSHIM_LOG=/data/bare.ovc chroot bare /bin/sleep 1000 3>&- 2>bare.out &
pids+=($!)
runs() { [[ $(cat "/proc/${pids[-1]}/comm") == sleep && -e bare/data/bare.ovc ]]; }
recorded() { ovc why bare/data/bare.ovc >why.bare 2>/dev/null; }
until_so 10 "a process below a chroot" runs
until_so 10 "its first record" recorded
! grep -E 'gone|no exit|ended' why.bare || fail "it lives: $(<why.bare)"
exits 1 chroot bare /bin/env LD_PRELOAD=/opt/libovcshim.so OVCSHIM_LOG=/data/refused.ovc /bin/malloc_1tb >/dev/null 3>&-
exits 1 ovc why bare/data/refused.ovc >why.refused
finds 'no file of /proc could be read' why.refused
