#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Keeps README.md's outputs real. Each stands between `<!-- output: NAME -->` and `<!-- end -->` and comes from a command below.
#   readme.sh           compares: same words in the same places; figures, times and addresses may differ
#   readme.sh --write   puts today's outputs in; the benchmark's table comes by tests/bench/readme.sh
set -euo pipefail
cd "$(dirname "$0")/.."
build=${OVC_BUILD:-build}
ovc=$build/ovc
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
    *) echo "readme.sh: no command for output $1" >&2; exit 2 ;;
  esac
}

# Replaces what stands between the marks of $1 by the file $2.
replace() {
  awk -v mark="<!-- output: $1 -->" -v file="$2" '
    $0 == mark { print; print "```"; while ((getline line < file) > 0) print line; print "```"; skip = 1; next }
    $0 == "<!-- end -->" { skip = 0 }
    !skip { print }' README.md >"$work/README.md"
  cat "$work/README.md" >README.md
}
current() { awk -v mark="<!-- output: $1 -->" '$0 == mark { on = 1; next } $0 == "<!-- end -->" { on = 0 } on && !/^```/' README.md; }
# Two runs differ in figures, hexadecimal addresses, units of time, in whether a short duration is shown, and in notes about lost records.
shape() { sed -E 's/0x[0-9a-f]+|\b[0-9a-f]{8,}\b/A/g; s/[0-9][0-9,.:]*(st|nd|rd|th)?/N/g; s/\bN (ns|us|ms|s)\b/N T/g; s/ \(N T old\)//g; s/ took N T//g; s/ (yes|no)$/ Y/; s/[[:space:]]+/ /g' | grep -v -e '^note: ' -e '^ *$'; }

# Parent and child run side by side: which of them comes first is not the same every time.
in_order() { if [[ $1 == show_fork ]]; then sort; else cat; fi; }

mapfile -t names < <(sed -n 's/^<!-- output: \(.*\) -->$/\1/p' README.md)
status=0
for name in "${names[@]}"; do
  output "$name" >"$work/$name"
  if [[ " $* " == *" --write "* ]]; then
    replace "$name" "$work/$name"
  elif ! diff -u --label "README.md: $name" --label "now: $name" <(current "$name" | shape | in_order "$name") <(shape <"$work/$name" | in_order "$name"); then
    status=1
  fi
done
((status == 0)) || echo "README.md has drifted: run tests/readme.sh --write" >&2
exit "$status"
