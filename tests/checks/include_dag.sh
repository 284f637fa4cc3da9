#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Who includes whom: each room only rooms above it in its list, shim/ and tools/ with a wall between, no circle of files.
set -euo pipefail
cd "$(dirname "$0")/../.."
bad=0
complain() { echo "$*"; bad=1; }

# From the bottom up. A room may include its own files and those of rooms before it.
# shellcheck disable=SC2034  # by name, below
shim_rooms=(format sys proc unwind providers record refuse libc interpose session)
# shellcheck disable=SC2034
tools_rooms=(text log rules symbols host attach replay causes outlook verdict export report follow commands cli)

declare -A place
for top in shim tools; do
  declare -n rooms=${top}_rooms
  for i in "${!rooms[@]}"; do place[$top/${rooms[i]}]=$i; done
  for folder in "$top"/*/; do
    folder=${folder%/}
    [[ -n ${place[$folder]-} || $folder == tools/packaging ]] || complain "$folder is not in the list of rooms of $0"
    [[ $folder == tools/packaging || -e $folder/README.md ]] || complain "$folder has no README.md"
  done
done

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
  from_room=${from%/*} to_room=${to%/*}
  case "$from $to" in
    *" MISSING:"*) complain "$from includes ${to#MISSING:}, which is not there"; continue ;;
    tools/*" "shim/format/*) continue ;;
    shim/*" "shim/* | tools/*" "tools/*) ;;
    *) complain "the shim and the reader share shim/format only: $from includes $to"; continue ;;
  esac
  ((${place[$to_room]-99} <= ${place[$from_room]-0})) || complain "$to_room is above $from_room: $from includes $to"
done <<<"$edges"

system=$(grep -oE '^#include <[^>]+>' shim/format/log_format.h | sort | tr '\n' ' ')
[[ $system == "#include <cstddef> #include <cstdint> " ]] || complain "log_format.h includes more than <cstddef>, <cstdint>: $system"
! grep -nE '^ *# *include *"' shim/format/log_format.h || complain "log_format.h includes other files of ours"
! tsort <<<"$edges" 2>&1 >/dev/null | grep . || complain "the includes go round in a circle"
stdio=$(grep -rlE '^ *# *include *<(cstdio|stdio\.h|iostream|string|vector|map|memory|mutex|thread|functional|new)>' shim || true)
[[ -z $stdio ]] || complain "no stdio, containers, locks or allocation in the shim: $stdio"
((bad)) || echo "$(wc -l <<<"$edges") includes looked at"
exit "$bad"
