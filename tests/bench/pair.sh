#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What recording one malloc+free pair costs: native, under the shim, and the limit program, interleaved; minimum and median.
#   pair.sh [ROUNDS]     default 15. Not a test: figures depend on the machine.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${OVC_BUILD:-build}
rounds=${1:-15}
pairs=20000000  # ten times round the call lane: the first lap pays for touching the file
work=$(mktemp -d /var/tmp/ovc-bench.XXXXXX)
trap 'rm -rf "$work"' EXIT
gcc -O2 -fno-builtin -pthread tests/bench/pair.c -o "$work/pair"
gcc -O2 tests/bench/limit.c -o "$work/limit"
shim=$(realpath "$build/libovcshim.so")

one() {
  case $1 in
    native) "$work/pair" "$2" $pairs ;;
    shim) rm -f "$work/log"; LD_PRELOAD=$shim OVCSHIM_LOG=$work/log "$work/pair" "$2" $pairs ;;
    counted) rm -f "$work/log"; LD_PRELOAD=$shim OVCSHIM_LOG=$work/log OVCSHIM_CALLS_SIZE=0 "$work/pair" "$2" $pairs ;;
    limit) "$work/limit" $pairs ;;
  esac
}
for ((i = 0; i < rounds; i++)); do
  for threads in 1 2; do
    for side in native shim counted; do one $side $threads >>"$work/$side.$threads"; done
  done
  one limit 1 >>"$work/limit.1"
done
row() {
  sort -n "$work/$1" | awk -v name="$2" '{ v[NR] = $1 } END { printf "%-44s %8.1f %8.1f\n", name, v[1], v[int((NR + 1) / 2)] }'
}
printf '%-44s %8s %8s\n' "ns a pair, $rounds rounds" min median
row native.1 "native, 1 thread"
row shim.1 "recorded, 1 thread"
row counted.1 "counted only (OVCSHIM_CALLS_SIZE=0), 1 thread"
row limit.1 "limit: TSC read and 16 bytes stored, twice"
row native.2 "native, 2 threads"
row shim.2 "recorded, 2 threads"
row counted.2 "counted only, 2 threads"
