#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Puts the results of run.sh into the pages.
#   readme.sh [FOLDER]   the first tables of FOLDER/table.md go between `<!-- bench -->` and `<!-- end -->` of tests/bench/README.md, all
#                        tables and the charts into tests/bench/results, and three figures into README.md
#   readme.sh --cost     prints these three, from tests/bench/results/table.md
set -euo pipefail
cd "$(dirname "$0")/../.."
results=tests/bench/results

# Columns of the tables: work, figure, best, median; and of the tools: tool, keeps, best, median, over native.
cost() {
  awk -F ' *[|] *' '
    function least(value) { return sprintf(value < 10 ? "%.1f" : "%.0f", value) }
    $2 == "native" && !native { native = $4; native_median = $5 }
    $2 == "ovcshim" && !best { best = $4 - native; median = $5 - native_median }
    $2 == "malloc+free, 1 thread, all recorded" && $3 ~ /LTTng/ { lttng = lttng ? lttng : $5 }
    $2 == "mmap+munmap, 16 frames" && !event { event = $5 }
    $2 ~ /^start of `true`, new log/ && !start { start = $5 }
    END {
      if (best == "" || lttng == "" || event == "" || start == "") exit 1
      printf "- a malloc and its free, both recorded: %s to %s ns more (native %s ns); %s of what LTTng-UST'"'"'s malloc wrapper adds;\n", least(best), least(median), least(native), lttng
      printf "- an mmap or munmap with its stack of 16 frames: %s more;\n", event
      printf "- the start of a program with a new log: %s more.\n", start
    }' "$results/table.md" || { echo "readme.sh: a row is missing in $results/table.md" >&2; exit 2; }
}
if [[ ${1-} == --cost ]]; then
  cost
  exit
fi

from=${1:-${OVC_BUILD:-build}/bench}
work=$(mktemp -d /var/tmp/ovc-bench.XXXXXX)
trap 'rm -rf "$work"' EXIT
mkdir -p "$results"
cp "$from"/*.svg "$from/table.md" "$from/startup.txt" "$results"
awk '/^### Both sides/ { exit } { print }' "$from/table.md" >"$work/tables"
cost >"$work/cost"

# put PAGE MARK FILE: the file between `<!-- MARK -->` and `<!-- end -->`
put() {
  grep -qx "<!-- $2 -->" "$1" || { echo "readme.sh: no <!-- $2 --> in $1" >&2; exit 2; }
  awk -v mark="<!-- $2 -->" -v file="$3" '
    $0 == mark { print; while ((getline line < file) > 0) print line; skip = 1; next }
    skip && $0 == "<!-- end -->" { skip = 0 }
    !skip { print }' "$1" >"$work/page"
  cat "$work/page" >"$1"
}
put tests/bench/README.md bench "$work/tables"
put README.md "output: cost" "$work/cost"
