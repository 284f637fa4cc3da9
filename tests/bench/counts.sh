#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Counts the system calls and page faults that the shim adds to short programs, to a fork and to a mapping, the log joined: no clock
# of the machine changes them. Neither may pass its pin. A pin that is lowered by better code is to be lowered here.
#   counts.sh           compares with the pins; skipped (77) where nothing can be traced, and for builds with sanitizers
#   counts.sh --list    and lists which calls they are
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$(realpath "${OVC_BUILD:-build}")
skip() { echo "skipped: $*"; exit 77; }
command -v strace >/dev/null || skip "no strace"
strace -c -o /dev/null true 2>/dev/null || skip "strace cannot trace here"
[[ $(uname -m) == x86_64 ]] || skip "the pins are of x86_64"
grep -qE '^OVC_SANITIZE:[A-Z]*=$' "$build/CMakeCache.txt" || skip "the pins are of builds without sanitizers"
[[ $(ldd --version 2>&1) == *GLIBC* || $(ldd --version 2>&1) == *"GNU libc"* ]] || skip "the pins are of glibc"
work=$(mktemp -d /var/tmp/ovc-bench.XXXXXX)
trap 'rm -rf "$work"' EXIT
for program in fork_loop map_loop page_faults; do gcc -O2 tests/bench/$program.c -o "$work/$program"; done
shim=$build/libovcshim.so
unset OVCSHIM OVCSHIM_LOG LD_PRELOAD
# In this folder no program of the user's own runs (a python3 or node that a shell script picks), and none reads settings of the user's.
cd "$work"
env -i LD_PRELOAD="$shim" OVCSHIM_LOG="$work/log" /usr/bin/true

# What is counted (the part added to one of them, where it is many), the most system calls, the most page faults. Now and then, by
# the clock, the shim reads the commit counters again, and on a busy machine more often in one run: the least of some runs counts,
# and the pins leave room for one such reading (9 calls). Of the page faults one
# is for each page of totals, stacks and owners of memory in the log that the program's calls come to (shim/format/growth_format.h). What the host has decides a little, too: its control groups, its mounts.
pins='
true    1   80  48  /usr/bin/true
bash    1   112 70  /bin/bash -c :
perl    1   112 76  /usr/bin/perl -e 1
python3 1   160 126 /usr/bin/python3 -c pass
node    1   470 700 /usr/bin/node -e 0
fork    20  30  21  ./fork_loop
mmap    400 2   2   ./map_loop
'
tries=5

# shellcheck disable=SC2317  # by name
# calls SIDE COMMAND...: system calls of the whole run
calls() {
  local vars=()
  [[ $1 == native ]] || vars=(-E LD_PRELOAD="$shim" -E OVCSHIM_LOG="$work/log")
  env -i PATH=/usr/bin:/bin strace -f -c -U name,calls -o "$work/calls.$1" "${vars[@]}" "${@:2}" </dev/null >/dev/null 2>&1
  awk '$1 == "total" { print $2 }' "$work/calls.$1"
}
# shellcheck disable=SC2317  # by name
page_faults() {
  local vars=()
  [[ $1 == native ]] || vars=(LD_PRELOAD="$shim" OVCSHIM_LOG="$work/log")
  env -i PATH=/usr/bin:/bin "$work/page_faults" "${vars[@]}" "${@:2}"
}
# added COUNTER TIMES COMMAND...: what the shim adds to one of TIMES, from a run with one and one with so many more
added() {
  local counter=$1 times=$2 native shimmed
  shift 2
  if ((times == 1)); then
    echo $(($("$counter" shim "$@") - $("$counter" native "$@")))
  else
    native=$(($("$counter" native "$@" $((times + 1))) - $("$counter" native "$@" 1)))
    shimmed=$(($("$counter" shim "$@" $((times + 1))) - $("$counter" shim "$@" 1)))
    echo $(((shimmed - native + times - 1) / times))
  fi
}
# least PIN COUNTER TIMES COMMAND...: of some tries, the first that keeps to the pin or the best
least() {
  local pin=$1 best='' got
  shift
  for ((i = 0; i < tries; i++)); do
    got=$(added "$@")
    [[ -n $best ]] && ((best <= got)) || best=$got
    ((best > pin)) || break
  done
  echo "$best"
}

status=0
printf '%-9s %14s %6s %14s %6s\n' "adds to" "system calls" pin "page faults" pin
while read -r name times most_calls most_faults program arguments; do
  [[ -n $name ]] || continue
  [[ -x $program ]] || { printf '%-9s %s\n' "$name" "not here"; continue; }
  # shellcheck disable=SC2086  # words
  got=$(least "$most_calls" calls "$times" "$program" $arguments)
  faults=-
  # shellcheck disable=SC2086  # words
  [[ $most_faults == - ]] || faults=$(least "$most_faults" page_faults "$times" "$program" $arguments)
  printf '%-9s %14s %6s %14s %6s\n' "$name" "$got" "$most_calls" "$faults" "$most_faults"
  ((got > -100 && got <= most_calls)) || { echo "FAILED: $name: the shim adds $got system calls, the pin is $most_calls" >&2; status=1; }
  [[ $faults == - ]] || ((faults <= most_faults)) ||
    { echo "FAILED: $name: the shim adds $faults page faults, the pin is $most_faults" >&2; status=1; }
  if [[ ${1-} == --list ]]; then
    awk '
      $2 !~ /^[0-9]+$/ || $1 == "total" { next }
      FNR == NR { calls[$1] = $2; next }
      $2 > calls[$1] { printf "  %-18s %6d\n", $1, $2 - calls[$1] }' calls.native calls.shim | sort -k2,2nr
  fi
done <<<"$pins"
exit "$status"
