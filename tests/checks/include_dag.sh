#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The wall between shim/ and tools/, and no cycles: who includes whom.
set -euo pipefail
cd "$(dirname "$0")/../.."
bad=0
complain() { echo "$*"; bad=1; }

# "FROM TO" for each include of a file of ours, as paths from the top. Names are given from the top or beside the includer.
edges() {
  grep -RnoE '^ *# *include *"[^"]+"' shim tools | sed -E 's/^([^:]+):[0-9]+: *# *include *"([^"]+)"/\1 \2/' |
    while read -r from to; do
      if [[ -e $to ]]; then echo "$from $to"
      elif [[ -e ${from%/*}/$to ]]; then echo "$from ${from%/*}/$to"
      else echo "$from MISSING:$to"; fi
    done
}
edges=$(edges)
while read -r from to; do
  case "$from $to" in
    *" MISSING:"*) complain "$from includes ${to#MISSING:}, which is not there" ;;
    shim/*" "tools/* | shim/*" "tests/*) complain "the shim knows nothing of the reader: $from includes $to" ;;
    tools/*" "shim/log_format.h | tools/*" "shim/version.h | tools/cmd_run.cc" "shim/refusal_spec.h) ;;
    tools/*" "shim/* | tools/*" "tests/*) complain "the reader sees nothing of the shim but the log, its version and the settings language: $from includes $to" ;;
  esac
done <<<"$edges"

system=$(grep -oE '^#include <[^>]+>' shim/log_format.h | sort | tr '\n' ' ')
[[ $system == "#include <cstddef> #include <cstdint> " ]] || complain "log_format.h includes more than <cstddef>, <cstdint>: $system"
! grep -nE '^ *# *include *"' shim/log_format.h || complain "log_format.h includes other files of ours"
! tsort <<<"$edges" 2>&1 >/dev/null | grep . || complain "the includes go round in a circle"
stdio=$(grep -lE '^ *# *include *<(cstdio|stdio\.h|iostream|string|vector|map|memory|mutex|thread|functional|new)>' shim/* || true)
[[ -z $stdio ]] || complain "no stdio, containers, locks or allocation in the shim: $stdio"
((bad)) || echo "$(wc -l <<<"$edges") includes looked at"
exit "$bad"
