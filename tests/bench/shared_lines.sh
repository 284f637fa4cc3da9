#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shows that two threads which record malloc+free write no cache line in common: every store of both, traced by valgrind's lackey.
# Without an exception: the lines of the shim, of the log, of libc. That a shared line would be found is tried with a program that has one.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$(realpath "${OVC_BUILD:-build}")
skip() { echo "skipped: $*"; exit 77; }
command -v valgrind >/dev/null || skip "no valgrind"
grep -qE '^OVC_SANITIZE:[A-Z]*=$' "$build/CMakeCache.txt" || skip "not with a sanitizer's runtime"
work=$(mktemp -d /var/tmp/ovc-bench.XXXXXX)
trap 'rm -rf "$work"' EXIT
gcc -O2 -fno-builtin -pthread tests/bench/lines.c -o "$work/lines"

# traced FILE [VAR=VALUE...] -- ARGUMENT...: "WRITTEN COMMON", the lines of 64 bytes that the threads wrote, and those both wrote
traced() {
  local vars=(OVC_BENCH=1)
  while [[ $1 != -- ]]; do vars+=("$1"); shift; done
  shift
  env "${vars[@]}" valgrind --tool=lackey --trace-mem=yes --basic-counts=no --fair-sched=try --log-file="$work/trace" "$work/lines" "$@" >"$work/phase"
  python3 - "$work/trace" "$(<"$work/phase")" <<'PYTHON'
import sys
phase_at, phase, lines = int(sys.argv[2], 16), 0, {0: set(), 1: set(), 2: set()}
changes = 0
with open(sys.argv[1], encoding="ascii", errors="replace") as trace:
    for record in trace:
        if record[:2] not in (" S", " M"):
            continue
        address, size = record[3:].split(",")
        address, size = int(address, 16), int(size)
        if address == phase_at:  # 0 -> 1 -> 0 -> 2 -> 0
            changes += 1
            phase = (1, 0, 2, 0)[changes - 1]
        elif phase:
            lines[phase].update(range(address // 64, (address + size - 1) // 64 + 1))
if changes != 4:
    sys.exit("the trace has %d changes of phase, not 4" % changes)
print(len(lines[1] | lines[2]), len(lines[1] & lines[2]))
PYTHON
}

read -r written common < <(traced -- sharing)
((written > 2 && common == 1)) || { echo "FAILED: of a program with one shared line: $written written, $common in common" >&2; exit 1; }
native=$(traced --)
read -r written common < <(traced LD_PRELOAD="$build/libovcshim.so" OVCSHIM_LOG="$work/log" --)
echo "lines written by two threads, and by both of them: native ${native/ /, }; recorded $written, $common"
((common == 0)) || { echo "FAILED: both threads write the same $common lines" >&2; exit 1; }
((written > ${native% *} + 25)) || { echo "FAILED: the records are not among the lines traced" >&2; exit 1; }
