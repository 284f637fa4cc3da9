#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Where the start of `true` under the shim goes: startup.sh BUILD. The system calls it makes more than natively, with their wall time
# under strace (which makes each dearer by the same amount), and instructions by function, callees included, from callgrind.
set -euo pipefail
build=$(realpath "$1")
work=$(mktemp -d /var/tmp/ovc-bench.XXXXXX)
trap 'rm -rf "$work"' EXIT
program=$(type -P true)

calls() {
  if ! command -v strace >/dev/null; then echo "no strace"; return; fi
  strace -c -w -U name,calls,total-time -o "$work/native" "$program"
  strace -c -w -U name,calls,total-time -o "$work/recorded" -E LD_PRELOAD="$build/libovcshim.so" -E OVCSHIM_LOG="$work/log" "$program"
  strace -c -w -U name,calls,total-time -o "$work/joined" -E LD_PRELOAD="$build/libovcshim.so" -E OVCSHIM_LOG="$work/log" "$program"
  for side in recorded joined; do
    echo "system calls that the shim adds ($([[ $side == recorded ]] && echo new log || echo log joined)), ms under strace"
    awk '
      $2 !~ /^[0-9]+$/ || $1 == "total" { next }
      FNR == NR { calls[$1] = $2; time[$1] = $3; next }
      $2 > calls[$1] { printf "%-18s %5d %9.3f\n", $1, $2 - calls[$1], ($3 - time[$1]) * 1e3 }' "$work/native" "$work/$side" | sort -k3,3nr
  done
}
instructions() {
  if ! command -v valgrind >/dev/null; then echo "no valgrind"; return; fi
  rm -f "$work/log"
  LD_PRELOAD=$build/libovcshim.so OVCSHIM_LOG=$work/log valgrind --tool=callgrind --callgrind-out-file="$work/callgrind" "$program" 2>/dev/null
  echo "instructions by function of the shim, callees included, and of all (rep stosb counts once a byte)"
  callgrind_annotate --auto=no --inclusive=yes --threshold=100 "$work/callgrind" |
    awk '
      /PROGRAM TOTALS/ { printf "%12s  all\n", $1 }
      /ovcshim::/ && $1 ~ /^[0-9,]+$/ {
        n = $1
        sub(/^[^)]*\) */, "")
        gsub(/[^ ]*\//, "")
        sub(/( \[.*| [^ ]*\])$/, "")
        if (++rows <= 30) printf "%12s  %s\n", n, $0
      }'
}
calls
echo
instructions
