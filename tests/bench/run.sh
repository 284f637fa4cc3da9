#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Measures what the shim and ovc cost, beside peers: all cases of cases.txt, sides by turns, round after round. Not a test.
#   run.sh [--quick | --smoke] [--rounds N] [--only REGEX] [OUT]
# OUT (default: bench in the build directory) gets samples.tsv, table.md, SVG charts and startup.txt. Rounds: 15, none begun after
# 33 minutes; --quick: 3 with a tenth of the work, 150 s; --smoke: one with next to none, to see that all works.
# tests/bench/readme.sh OUT puts the tables into tests/bench/README.md. What is missing (tests/setup.sh bench) is told in the table.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$(realpath "${OVC_BUILD:-build}")
rounds=15 scale=1000 seconds=1980 only=. out=$build/bench
while (($#)); do
  case $1 in
    --quick) rounds=3 scale=100 seconds=150 ;;
    --smoke) rounds=1 scale=2 ;;
    --rounds) rounds=$2; shift ;;
    --only) only=$2; shift ;;
    -*) sed -n 's/^#   //p' "$0" >&2; exit 2 ;;
    *) out=$1 ;;
  esac
  shift
done
work=$(mktemp -d /var/tmp/ovc-bench.XXXXXX)
chmod 755 "$work"
mkdir -m 777 "$work/servers"
mkdir -p "$out"
# shellcheck disable=SC2317  # by trap
finish() {
  sides_end
  rm -rf "$work"
}
. tests/bench/sides.sh
. tests/bench/work.sh
. tests/bench/servers.sh
trap finish EXIT
unset OVCSHIM OVCSHIM_LOG LD_PRELOAD
shim=$work/libovcshim.so  # where every user may read it
cp "$build/libovcshim.so" "$shim"
ovc=$build/ovc
for program in tests/bench/*.c; do
  gcc -O2 -fno-builtin -pthread "$program" -o "$work/$(basename "$program" .c)"
done

samples=$out/samples.tsv
: >"$samples"
failed=0
# sample CASE SIDE WORK ARGUMENT...: lines "CASE SIDE METRIC VALUE"
sample() {
  local name=$1 side=$2 function=$3 reason
  shift 3
  if ! reason=$(cached_why_not "$side") || [[ -n $reason ]]; then
    printf '%s\t%s\treason\t%s\n' "$name" "$side" "$reason" >>"$samples"
  elif ! "$function" "$side" "$@" >"$work/answer" 2>"$work/errors"; then
    echo "run.sh: $name, $side: failed: $(tail -n 1 "$work/errors")" >&2
    failed=1
  else
    awk -v name="$name" -v side="$side" -v OFS='\t' '
      $1 == "reason" { sub(/^reason /, ""); print name, side, "reason", $0; any = 1 }
      NF == 2 && $1 ~ /^[a-z]/ && $2 ~ /^[0-9.]+$/ { print name, side, $1, $2; any = 1 }
      END { exit !any }' "$work/answer" >>"$samples" || { echo "run.sh: $name, $side: no figure" >&2; failed=1; }
  fi
}
cached_why_not() {
  [[ -e $work/why_not.$1 ]] || why_not "$1" >"$work/why_not.$1"
  cat "$work/why_not.$1"
}

sides_begin
for ((round = 1; round <= rounds && SECONDS < seconds; round++)); do
  echo "round $round of $rounds, $SECONDS s" >&2
  cut -d' ' -f1 /proc/loadavg >>"$work/loads"
  while read -r name every sides function arguments; do
    if ((round % every)) && ((every <= rounds)) || [[ ! $name =~ $only ]]; then continue; fi
    # shellcheck disable=SC2086  # words
    for side in ${sides//,/ }; do sample "$name" "$side" "$function" $arguments </dev/null; done
  done < <(grep -v '^#' tests/bench/cases.txt)
done
{
  echo "date $(date +%F)"
  echo "cpu $(nproc) x $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)"
  echo "ram $(awk '$1 == "MemTotal:" { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)"
  echo "kernel Linux $(uname -r)"
  echo "rounds $((round - 1))"
  echo "load $(sort -n "$work/loads" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }')"
} >"$out/machine.txt"
tests/bench/startup.sh "$build" >"$out/startup.txt" || failed=1
python3 tests/bench/table.py "$out" >"$out/table.md" || failed=1
python3 tests/bench/charts.py "$out" || failed=1
echo "$out/table.md, $SECONDS s" >&2
exit "$failed"
