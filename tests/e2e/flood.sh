#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A program that maps and unmaps by the thousand does not push a fork, its child's end, or the proof of a refusal out of the log.
. "$(dirname "$0")/../fixtures/e2e.sh"
export OVCSHIM_EVENTS_SIZE=1M
exits 0 under flood.ovc floods 200000
exits 0 ovc forks --json flood.ovc >forks.json
jq -c '.forks[] | [.call, .errno, .child.end]' forks.json >got
cat >expected <<'EOF'
["posix_spawnp",null,"exited, 0"]
["fork",null,"exited, 3"]
EOF
same expected got
exits 1 ovc why flood.ovc >verdict
finds 'cause +address space limit reached \(RLIMIT_AS\)' verdict
ovc stats --json flood.ovc >stats.json
(($(jq '.lost.memory_units_overwritten' stats.json) > 100000)) || fail "nothing was pushed out: the test says nothing"
(($(jq '.lost.vital_slots_overwritten' stats.json) == 0)) || fail "vitals were pushed out"
# What was pushed out is not passed over in silence: a list without the calls after it is not taken for the whole.
TZ=UTC ovc maps --json --at "$(ovc show --json --op fork flood.ovc | jq -r '.time[11:26]')" flood.ovc >maps.json
[[ $(jq .exact maps.json) == false ]] || fail "calls were overwritten, and the address space is said to be known"
