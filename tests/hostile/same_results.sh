#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Results and errno, on failure and on success, are what they are without the shim, in every configuration; and no request is made
# larger (usable sizes of blocks are compared). Pitfalls covered: errno changed by the tool, request sizes changed by the tool.
. "$(dirname "$0")/../fixtures/e2e.sh"

programs=(same_results system_results)
for program in "${programs[@]}"; do $program >"$program.out" 2>"$program.err" || fail "$program: exit status $?"; done
(($(wc -l <same_results.out) > 150)) || fail "the table is not made to its end: $(tail -n 1 same_results.out)"
(($(wc -l <system_results.out) > 85)) || fail "the table is not made to its end: $(tail -n 1 system_results.out)"
compare() {
  local program
  for program in "${programs[@]}"; do
    env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/a.ovc" "$@" "$program" >shim.out 2>shim.err || fail "$*: $program: exit status $?"
    same "$program.out" shim.out "$*: $program"
    same "$program.err" shim.err "$*: $program: messages"
    [[ $* == OVCSHIM=0 ]] || ovc stats a.ovc >/dev/null
    rm -f a.ovc
  done
}
for internals in 0 1; do
  for setting in OVCSHIM_MIN_SIZE=0 OVCSHIM_MIN_SIZE=4096 OVCSHIM_STACK_DEPTH=0 OVCSHIM_CALLS_SIZE=0 OVCSHIM_FOLLOW=none OVCSHIM_EVENTS_SIZE=64K; do
    compare OVCSHIM_LIBC_INTERNALS=$internals "$setting"
  done
done
compare OVCSHIM=0
compare OVCSHIM_REHEARSE=mode=1
