#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A log of the usual size keeps the newest 400,000 calls of the mmap family and counts those before; each is shown as the program made it;
# an older one, or a small one without the ring, is read as before (old_logs.sh, log_size.sh).
. "$(dirname "$0")/../fixtures/e2e.sh"
unset OVCSHIM_EVENTS_SIZE OVCSHIM_CALLS_SIZE
export OVCSHIM_CALLS_SIZE=0
exits 0 under many.ovc maps_many 220000
ovc stats --json many.ovc >stats.json
kept=$(jq .events stats.json) lost=$(jq .lost.memory_units_overwritten stats.json)
echo "$kept events kept, $lost units overwritten"
((kept >= 400000 && lost > 0)) || fail "$kept events kept, $lost units overwritten"
(($(jq .lost.event_slots_overwritten stats.json) == 0)) || fail "memory calls are in the events ring"

# All of a short run, argument for argument: what is mapped is what is unmapped, but for the first of 4096.
exits 0 under few.ovc maps_many 500
ovc show --json --op mmap few.ovc >mapped
ovc show --json --op munmap few.ovc >unmapped
lengths() { jq -c 'select(.caller.module == "maps_many") | .args.len' "$1"; }
lengths unmapped >expected
(($(wc -l <expected) == 499)) || fail "$(wc -l <expected) calls of munmap"
same expected <(lengths mapped | tail -n +2)
