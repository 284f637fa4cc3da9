#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Puts the results of run.sh into the README: readme.sh [FOLDER]. The first tables of FOLDER/table.md go between `<!-- bench -->` and
# `<!-- end -->`, all tables and the charts into tests/bench/results.
set -euo pipefail
cd "$(dirname "$0")/../.."
from=${1:-${OVC_BUILD:-build}/bench}
results=tests/bench/results
work=$(mktemp -d /var/tmp/ovc-bench.XXXXXX)
trap 'rm -rf "$work"' EXIT
mkdir -p "$results"
cp "$from"/*.svg "$from/table.md" "$from/startup.txt" "$results"
awk '/^### Both sides/ { exit } { print }' "$from/table.md" >"$work/part"
grep -q '^<!-- bench -->$' README.md || { echo "readme.sh: no <!-- bench --> in the README" >&2; exit 2; }
awk -v file="$work/part" '
  $0 == "<!-- bench -->" { print; while ((getline line < file) > 0) print line; skip = 1; next }
  skip && $0 == "<!-- end -->" { skip = 0 }
  !skip { print }' README.md >"$work/README.md"
cat "$work/README.md" >README.md
