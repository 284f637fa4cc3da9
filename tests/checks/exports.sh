#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The functions that the shim takes over are told in three places that must agree: calls.def, exports.map, the library.
set -euo pipefail
cd "$(dirname "$0")/../.."
library=${OVC_BUILD:-build}/libovcshim.so
for needed in shim/providers/calls.def shim/providers/exports.map "$library"; do
  [[ -e $needed ]] || { echo "skipped: no $needed"; exit 77; }
done
table() { sed -nE "s/^[A-Z]+\\( *([A-Za-z_0-9]+) *[,)].*/\1/p" shim/providers/calls.def | sort -u; }
map() { sed -e 's,/\*.*\*/,,' -e 's,#.*,,' shim/providers/exports.map | sed -n '/global:/,/local:/p' | grep -oE '[A-Za-z_0-9]+ *;' | tr -d ' ;' | sort -u; }
library() { nm -D --defined-only "$library" | awk '$2 != "A" { print $3 }' | sed 's/@.*//' | sort -u; }
bad=0
diff -u --label calls.def --label exports.map <(table) <(map) || bad=1
diff -u --label exports.map --label "$library" <(map) <(library) || bad=1
echo "$(table | wc -l) functions in the table, $(library | wc -l) exported"
exit "$bad"
