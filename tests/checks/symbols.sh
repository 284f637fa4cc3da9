#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What the shim asks of the program it is loaded into: libc alone, only the symbols in symbols.allow, none newer than
# glibc 2.28 unless weakly (exec'd children may run on another libc), no text relocations, no executable stack.
set -euo pipefail
cd "$(dirname "$0")/../.."
library=${OVC_BUILD:-build}/libovcshim.so
[[ -e $library ]] || { echo "skipped: no $library"; exit 77; }
bad=0
complain() { echo "$*"; bad=1; }

needed=$(readelf -dW "$library" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p' | tr '\n' ' ')
[[ $needed == "libc.so.6 " ]] || complain "needs other libraries than libc.so.6: $needed"
unexpected=$(comm -13 <(grep -v '^#' tests/checks/symbols.allow | sort -u) \
  <(nm -D --undefined-only "$library" | awk '{ print $2 }' | sed 's/@.*//' | sort -u))
[[ -z $unexpected ]] || complain "symbols not in tests/checks/symbols.allow: $unexpected"
newer=$(nm -D --undefined-only --with-symbol-versions "$library" | awk '$1 != "w" { print $2 }' |
  grep -E '@GLIBC_2\.(29|[3-9][0-9])' || true)
[[ -z $newer ]] || complain "newer than glibc 2.28, and not weak: $newer"
! readelf -dW "$library" | grep -E 'TEXTREL' || complain "text relocations"
! readelf -lW "$library" | grep -E 'GNU_STACK.*E' || complain "executable stack"
((bad)) || echo "$(nm -D --undefined-only "$library" | wc -l) symbols asked of libc"
exit "$bad"
