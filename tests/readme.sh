#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Keeps the outputs in the pages below real. Each stands between `<!-- output: NAME -->` and `<!-- end -->` and comes from a command below.
#   readme.sh           compares: same words in the same places; figures, times and addresses may differ
#   readme.sh --write   puts today's outputs in
# The tables of tests/bench/README.md come by tests/bench/readme.sh, that of tests/trust/README.md by tests/trust/long.sh --write.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${OVC_BUILD:-build}
ovc=$build/ovc
pages=(README.md examples/README.md tests/bench/README.md tests/trust/README.md)
work=$(mktemp -d /var/tmp/ovc-readme.XXXXXX)
trap 'rm -rf "$work"' EXIT

output() {
  case $1 in
    demo_why) # what examples/demo.sh left behind: the test of the demo runs before
      [[ -e $build/demo.ovc ]] || { echo "skipped: no $build/demo.ovc; run examples/demo.sh as root first" >&2; exit 77; }
      echo "\$ ovc why"
      "$ovc" why "$build/demo.ovc" || (($? == 1)) ;;
    demo_check) # just before that, by the same demo
      [[ -e $build/demo.check ]] || { echo "skipped: no $build/demo.check; run examples/demo.sh as root first" >&2; exit 77; }
      echo "\$ ovc check redis-server"
      sed '/^  tasks /,/^  meaning /{/^  meaning /!d}' "$build/demo.check" ;; # what else limits tasks differs from host to host
    demo_plan)
      echo "\$ ovc plan"
      "$ovc" plan "$build/demo.ovc" || (($? == 1)) ;;
    show_fork)
      "$ovc" run -o "$work/log" -- "$build/examples/fork_once" >/dev/null 2>&1
      echo "\$ ovc run -- examples/fork_once; ovc show --op fork,clone,waitpid,_exit"
      "$ovc" show --op fork,clone,waitpid,_exit --no-calls "$work/log" ;;
    maps)
      rm -f "$work/log"
      "$ovc" run -o "$work/log" -- "$build/examples/fork_doubles" >/dev/null 2>&1
      echo "\$ ovc run -- examples/fork_doubles; ovc maps | grep -v 'before$'"
      "$ovc" maps "$work/log" | grep -v 'before$' | sed "s|$(realpath "$build")|build|" ;;
    cost) tests/bench/readme.sh --cost ;; # of the benchmark's last table
    *) echo "readme.sh: no command for output $1" >&2; exit 2 ;;
  esac
}
is_prose() { [[ $1 == cost ]]; }

# replace PAGE NAME: what stands between the marks becomes the output.
replace() {
  local fence='```'
  ! is_prose "$2" || fence=
  awk -v mark="<!-- output: $2 -->" -v fence="$fence" -v file="$work/$2" '
    $0 == mark { print; if (fence) print fence; while ((getline line < file) > 0) print line; if (fence) print fence; skip = 1; next }
    $0 == "<!-- end -->" { skip = 0 }
    !skip { print }' "$1" >"$work/page"
  cat "$work/page" >"$1"
}
current() { awk -v mark="<!-- output: $2 -->" '$0 == mark { on = 1; next } $0 == "<!-- end -->" { on = 0 } on && !/^```/' "$1"; }
# Two runs differ in figures, hexadecimal addresses, units of time, in whether a short duration is shown, and in notes about lost records.
# The order is that of parent and child, which run side by side: not the same every time.
shape() {
  if is_prose "$1"; then cat; return; fi
  sed -E 's/0x[0-9a-f]+|\b[0-9a-f]{8,}\b/A/g; s/[0-9][0-9,.:]*(st|nd|rd|th)?/N/g; s/\bN (ns|us|ms|s)\b/N T/g; s/ \(N T old\)//g; s/ took N T//g; s/ (yes|no)$/ Y/; s/[[:space:]]+/ /g' |
    grep -v -e '^note: ' -e '^ *$' | if [[ $1 == show_fork ]]; then sort; else cat; fi
}

status=0
for page in "${pages[@]}"; do
  mapfile -t names < <(sed -n 's/^<!-- output: \(.*\) -->$/\1/p' "$page")
  for name in "${names[@]}"; do
    output "$name" >"$work/$name"
    if [[ " $* " == *" --write "* ]]; then
      replace "$page" "$name"
    elif ! diff -u --label "$page: $name" --label "now: $name" <(current "$page" "$name" | shape "$name") <(shape "$name" <"$work/$name"); then
      status=1
    fi
  done
done
((status == 0)) || echo "the pages have drifted: run tests/readme.sh --write" >&2
exit "$status"
