#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Who made a process grow, exact for ever: what each function of a program still holds is what the program itself counted, page by page,
# after the ring of records has gone round many times and the program was killed; with one thread and with many.
. "$(dirname "$0")/../fixtures/e2e.sh"
export PATH=$build/programs:$PATH OVCSHIM_EVENTS_SIZE=64K OVCSHIM_CALLS_SIZE=0

# holds_as_counted LOG THREADS ROUNDS
holds_as_counted() {
  local log=$1 name kb
  (under "$log" holds "$2" "$3" >counted.txt || true) 2>killed.txt
  [[ $(wc -l <counted.txt) == 3 ]] || fail "holds $2 $3 did not come to its end"
  ovc stats --stacks --json "$log" >stacks.json
  jq -e .exact stacks.json >/dev/null || fail "$log: not exact: $(head -c 300 stacks.json)"
  while read -r name kb; do
    jq -e --arg name "$name" --argjson kb "$kb" '[.stacks[] | select(.functions | index($name)) | .charged_now_kb] |
      (map(.low) | add) <= $kb and $kb <= (map(.high) | add) and $kb > 0' stacks.json >/dev/null ||
      { jq -c --arg name "$name" '.stacks[] | select(.functions | index($name))' stacks.json >&3; fail "$log: $name holds $kb kB"; }
  done <counted.txt
  jq -e '[.stacks[] | select(.functions | index("maps_memory") or index("commits_memory") or index("grows_memory")) | .charged_now_kb |
    .low == .high] | all' stacks.json >/dev/null || fail "$log: bounds where all is known"
}
holds_as_counted one.ovc 1 20000
laps=$(ovc stats --json one.ovc | jq .lost.memory_units_overwritten)
((laps >= 10 * 1664)) || fail "the ring was not lapped ten times: $laps units"
holds_as_counted many.ovc 16 3000
holds_as_counted more.ovc 64 1000

ovc stats --stacks one.ovc >stacks.txt
finds '^charged memory by stack, kB: [0-9,]+ now, [0-9,]+ ever$' stacks.txt
finds ' mmap +maps_memory <- ' stacks.txt
finds '^the same now, from the outermost function$' stacks.txt

