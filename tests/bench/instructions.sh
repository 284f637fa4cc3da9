#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Counts the instructions of a pair of calls, natively and under the shim, with callgrind: the same on each run, whatever else the
# machine does. What the shim adds may not pass the pins below. A pin that is lowered by better code is to be lowered here.
#   instructions.sh           compares with the pins; skipped (77) without valgrind and for builds without optimisation
#   instructions.sh --list    and lists where a recorded malloc+free pair spends them
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$(realpath "${OVC_BUILD:-build}")
skip() { echo "skipped: $*"; exit 77; }
command -v valgrind >/dev/null || skip "no valgrind"
[[ $(uname -m) == x86_64 ]] || skip "the pins are of x86_64"
grep -qE '^CMAKE_BUILD_TYPE:[A-Z]*=(Release|RelWithDebInfo)$' "$build/CMakeCache.txt" || skip "the pins are of optimised builds"
grep -qE '^OVC_SANITIZE:[A-Z]*=$' "$build/CMakeCache.txt" || skip "the pins are of builds without sanitizers"
! grep -qE '^CMAKE_CXX_COMPILER:[A-Z]*=.*clang' "$build/CMakeCache.txt" || skip "the pins are of g++"
work=$(mktemp -d /var/tmp/ovc-bench.XXXXXX)
trap 'rm -rf "$work"' EXIT
gcc -O2 -fno-builtin -pthread tests/bench/pair.c -o "$work/pair"
shim=$build/libovcshim.so

# kind, call lane: what the shim may add to a pair. 2 % above what g++ 12 gives: room for the compiler, not for a field more. Events
# (mmap) have no pin: now and then they read the kernel's counters, by the clock.
pins='
malloc   recorded  90
malloc   counted   63
calloc   recorded 104
realloc  recorded 130
memalign recorded 111
'

# count PAIRS KIND SIDE: instructions of the whole run
count() {
  local vars=(OVC_BENCH=1)
  [[ $3 == native ]] || vars=(LD_PRELOAD="$shim" OVCSHIM_LOG="$work/log")
  [[ $3 != counted ]] || vars+=(OVCSHIM_CALLS_SIZE=0)
  rm -f "$work/log"
  env "${vars[@]}" valgrind --tool=callgrind --callgrind-out-file="$work/$2.$3.$1" "$work/pair" "$2" 1 "$1" >/dev/null 2>"$work/err"
  sed -n 's/^==.* Collected : //p' "$work/err"
}
# of KIND SIDE: instructions of one pair, from two runs of different length
few=20000 many=60000
of() { echo "$(count $few "$@") $(count $many "$@")" | awk -v n=$((many - few)) '{ printf "%.1f\n", ($2 - $1) / n }'; }

status=0
printf '%-9s %-9s %8s %8s %8s %8s\n' pair "" native with adds pin
while read -r kind side pin; do
  [[ -n $kind ]] || continue
  [[ -e $work/native.$kind ]] || of "$kind" native >"$work/native.$kind"
  native=$(<"$work/native.$kind")
  # How often a stack is drawn is left to chance: the least of some runs counts.
  for _ in 1 2 3; do
    with=$(of "$kind" "$side")
    adds=$(awk -v a="$with" -v b="$native" 'BEGIN { printf "%.1f", a - b }')
    ! awk -v adds="$adds" -v pin="$pin" 'BEGIN { exit !(adds <= pin) }' || break
  done
  printf '%-9s %-9s %8s %8s %8s %8s\n' "$kind" "$side" "$native" "$with" "$adds" "$pin"
  awk -v adds="$adds" -v pin="$pin" 'BEGIN { exit !(adds > 0 && adds <= pin) }' ||
    { echo "FAILED: $kind, $side: the shim adds $adds instructions to a pair, the pin is $pin" >&2; status=1; }
done <<<"$pins"
if [[ ${1-} == --list ]]; then
  echo "instructions a recorded malloc+free pair, by function; rep stosq, which clears the log's chunks, counts once a word"
  callgrind_annotate --auto=no --threshold=100 "$work/malloc.recorded.$many" | awk -v n=$many '
    $1 ~ /^[0-9,]+$/ && !/PROGRAM TOTALS/ {
      gsub(/,/, "", $1)
      instructions = $1 / n
      sub(/^[^)]*\) */, "")
      gsub(/[^ ]*\//, "")
      if (instructions >= 0.5) printf "%8.1f  %s\n", instructions, $0
    }'
fi
exit "$status"
