#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Who asks malloc for small blocks: what `ovc stats --stacks` estimates from samples is what the program says that it asked for, give or take
# six standard deviations (one run in a hundred million is further off).
. "$(dirname "$0")/../fixtures/e2e.sh"

# near NAME BYTES JSON: the estimate for the stacks of that function; of all with "all"
near() {
  jq -er --arg name "$1" --argjson asked "$2" '.small_requests | .sample_bytes as $each
    | [.stacks[] | select($name == "all" or (.functions | any(startswith($name))))] as $of
    | ([$of[].asked_bytes] | add // 0) as $told | ($asked * $each | sqrt * 6 + $each) as $off
    | if ($told - $asked | fabs) <= $off then empty else "\($name): \($told) bytes told, \($asked) asked for" end' "$3" >off.txt ||
    (($? == 4)) || { cat "$3" >&3; fail "no estimate of $1"; }
  [[ ! -s off.txt ]] || fail "$(<off.txt)"
}
# judged LOG: of each function of small_mallocs, and of all
judged() {
  local name bytes all=0
  ovc stats --stacks --json "$1" >stacks.json
  while read -r name bytes; do
    near "$name" "$bytes" stacks.json
    ((all += bytes))
  done <asked.txt
  near all "$all" stacks.json
  jq -e '.small_requests | .samples_without_room == 0 and .samples == ([.stacks[].samples] | add)' stacks.json >/dev/null || fail "samples are lost"
  echo "$1: $(jq .small_requests.samples stacks.json) samples of $all bytes"
}

under threads.ovc small_mallocs 200 2 >asked.txt
judged threads.ovc
OVCSHIM_CALLS_SIZE=0 under counted.ovc small_mallocs 200 2 >asked.txt
judged counted.ovc
OVCSHIM_MIN_SIZE=9000 under chosen.ovc small_mallocs 200 2 >asked.txt
judged chosen.ovc
OVCSHIM_STACK_DEPTH=0 under callers.ovc small_mallocs 200 2 >asked.txt
judged callers.ovc
# The first 4 MiB of a program are spared, not those of its children.
under children.ovc small_mallocs 2 0 100 >asked.txt
judged children.ovc
under short.ovc small_mallocs 3 >asked.txt
ovc stats --stacks --json short.ovc | jq -e '.small_requests == null' >/dev/null || fail "a short program is not spared"
ovc stats --stacks short.ovc >short.txt
! grep '^small mallocs' short.txt || fail "a line about no samples"

ovc stats --stacks threads.ovc >stacks.txt
finds '^small mallocs by stack, kB: what calls for less than 128 KiB asked for, freed again or not;$' stacks.txt
finds '^ *[0-9,]+ +[0-9]+ % +[0-9,]+ +realloc +asks_much[^ ]* <- work <- start_thread' stacks.txt
finds '^ *[0-9,]+ +[0-9]+ % +[0-9,]+ +calloc +asks_little[^ ]* <- work <- in_threads <- main' stacks.txt
ovc export threads.ovc --to folded --weight small >small.folded
ovc stats --stacks --json threads.ovc >stacks.json
[[ $(awk '{ sum += $NF } END { printf "%.0f\n", sum }' small.folded) == "$(jq '.small_requests | .samples * .sample_bytes' stacks.json)" ]] ||
  fail "folded says something else"
finds '^small_mallocs;.*;main;in_threads;work;asks_much[^;]*;realloc [0-9]+$' small.folded
# They are in no sum of what was charged.
ovc export threads.ovc --to folded --weight count >count.folded
! grep ';realloc ' count.folded || fail "samples counted as calls that map memory"
