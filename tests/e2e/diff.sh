#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What grew in between: of two copies of a log to the kB and to the call, however often the ring of records has gone round meanwhile;
# of two moments of one log the same from its records, and a plain "not known" where they were overwritten.
. "$(dirname "$0")/../fixtures/e2e.sh"

# grows LOG ROUNDS: runs grows_twice, with copies of its log in between, first.ovc and second.ovc, and the moments of both
grows() {
  local log=$1 line pid
  coproc program { under "$log" grows_twice "$2"; }
  # shellcheck disable=SC2154  # coproc sets it, and unsets it at the end
  pid=$program_PID
  read -r line <&"${program[0]}"
  [[ $line == first ]] || fail "says $line"
  first_moment=$(date '+%F %T.%N')
  cp --sparse=always "$log" first.ovc
  echo >&"${program[1]}"
  read -r line <&"${program[0]}"
  [[ $line == second ]] || fail "says $line"
  second_moment=$(date '+%F %T.%N')
  cp --sparse=always "$log" second.ovc
  echo >&"${program[1]}"
  wait "$pid"
}
# grew FILE ROUNDS: what the program did between the two
grew() {
  jq -e --argjson rounds "$2" '
    def of(name): [.stacks[] | select(.functions | index(name))];
    def kb(which): map(which | select(.low == .high) | .low) | add;
    .exact and .same_recording and
    (of("maps_second") | length == 1 and kb(.charged_now_kb) == 16384 and kb(.charged_ever_kb) == 16384 and .[0].calls == 1) and
    (of("maps_first") | length == 1 and kb(.charged_now_kb) == -4096 and kb(.charged_ever_kb) == 0 and .[0].calls == 0) and
    (of("churns") | kb(.charged_now_kb) == 0 and kb(.charged_ever_kb) == 4 * $rounds and (map(.calls) | add) == 2 * $rounds)' "$1" >/dev/null ||
    { cat "$1" >&3; fail "$1"; }
}

OVCSHIM_EVENTS_SIZE=64K grows lapped.ovc 5000
ovc diff --json first.ovc second.ovc >two.json
grew two.json 5000
ovc diff first.ovc second.ovc >two.txt
finds '^charged memory by stack, kB: \+12,288 now, \+36,384 ever$' two.txt
finds '^one recording: second.ovc at [0-9:.]+, less first.ovc at [0-9:.]+$' two.txt
finds '^ *\+16,384 +\+16,384 +\+1 +mmap +(map <- )?maps_second <- ' two.txt
exits 2 ovc diff second.ovc first.ovc 2>message
finds '^ovc: first.ovc is older than second.ovc' message
exits 2 ovc diff lapped.ovc --since "$first_moment" 2>message
finds '^ovc: what grew since [0-9:.]+ is not known: records from before [0-9:.]+ were overwritten' message

grows whole.ovc 50
ovc diff --json whole.ovc --since "$first_moment" --until "$second_moment" >moments.json
grew moments.json 50
ovc diff --json first.ovc second.ovc >two.json
grew two.json 50
ovc diff whole.ovc --since "$second_moment" >none.txt
finds '^no memory call in between$' none.txt

# Of another run, with more of it.
grows other.ovc 80
ovc diff --json whole.ovc other.ovc >runs.json
jq -e '(.same_recording | not) and .exact and ([.stacks[] | select(.functions | index("churns")) | .calls] | add) == 120' runs.json >/dev/null ||
  { cat runs.json >&3; fail "two runs"; }
for wrong in "" "whole.ovc" "whole.ovc other.ovc --since +1" "whole.ovc none.ovc" "whole.ovc --since +5 --until +1"; do
  # shellcheck disable=SC2086  # words
  exits 2 ovc diff $wrong 2>message
  [[ $(wc -l <message) == 1 ]] || fail "ovc diff $wrong: $(<message)"
done
