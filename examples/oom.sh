#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shows: a malloc of 1 TB that mode 1 grants, written to until the OOM killer strikes, in a memory cgroup of its own (256 MiB) so that
#   nothing else is hurt; and what the log of a killed process says: everything up to the last call, and no end.
# Run:   ./examples/oom.sh      (root, after a build)
# Expect:
#   malloc_until_oom was killed by signal 9
#   malloc_until_oo (pid ...): no exit recorded, last sign of life ... OOM kill...
#   ... malloc(1099511627776) = 0x... <- main+... (malloc_until_oom)
#   ... libc: mmap(NULL, 1099511631872, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x... charge 1,073,741,828 kB ...
set -euo pipefail
cd "$(dirname "$0")/.."
build=${OVC_BUILD:-build}
work=$(mktemp -d /var/tmp/ovc-oom.XXXXXX)
trap 'rm -rf "$work"' EXIT

status=0
tests/fixtures/overcommit.sh 1 -- tests/fixtures/memcg.sh $((256 << 20)) \
  env LD_PRELOAD="$(realpath "$build/libovcshim.so")" OVCSHIM_LOG="$work/oom.ovc" \
  "$build/examples/malloc_until_oom" 2>/dev/null || status=$?
((status != 77)) || { echo "skipped: needs root and a memory cgroup"; exit 77; }
((status > 128)) && echo "malloc_until_oom was killed by signal $((status - 128))"
printf '\n$ ovc why\n'
"$build/ovc" why "$work/oom.ovc" || (($? == 1))
printf '\n$ ovc show\n'
"$build/ovc" show "$work/oom.ovc" | tail -n 5
