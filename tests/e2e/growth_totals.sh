#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The exact totals by stack, wherever they are told: folded stacks, SQLite, the trace and the report say of a program whose records were
# overwritten ten times what `ovc stats --stacks` says.
. "$(dirname "$0")/../fixtures/e2e.sh"
export OVCSHIM_EVENTS_SIZE=64K OVCSHIM_CALLS_SIZE=0
(under holds.ovc holds 2 10000 >counted.txt || true) 2>killed.txt
[[ $(wc -l <counted.txt) == 3 ]] || fail "holds did not come to its end"
(($(ovc stats --json holds.ovc | jq .lost.memory_units_overwritten) >= 10 * 1664)) || fail "the ring was not lapped ten times"
ovc stats --stacks --json holds.ovc >stacks.json
ever=$(jq '.charged_ever_kb | if .low == .high then .low else error("bounds") end' stacks.json)
now=$(jq '.charged_now_kb.low' stacks.json)

ovc export holds.ovc --to folded >charge.folded 2>message
[[ ! -s message ]] || fail "messages: $(<message)"
[[ $(awk '{ sum += $NF } END { printf "%.0f\n", sum / 1024 }' charge.folded) == "$ever" ]] || fail "folded: not $ever kB"
# of_function NAME: what its calls were charged, by ovc stats
of_function() { jq --arg name "$1" '[.stacks[] | select(.functions | index($name)) | .charged_ever_kb.low] | add' stacks.json; }
for name in maps_memory commits_memory grows_memory; do
  [[ $(awk -v name=";$name;" 'index($0, name) { sum += $NF } END { printf "%.0f\n", sum / 1024 }' charge.folded) == "$(of_function $name)" ]] ||
    fail "folded: $name"
done
finds '^holds;.*;grows_memory;mremap [0-9]+$' charge.folded
ovc export holds.ovc --to folded --weight count >count.folded
calls=$(jq '[.stacks[] | select(.op == "mmap" and .charged_ever_kb.high > 0 and (.functions | index("maps_memory"))) | .calls] | add' stacks.json)
[[ $(awk '/;maps_memory;mmap / { sum += $NF } END { printf "%.0f\n", sum }' count.folded) == "$calls" ]] || fail "count: not $calls"

if command -v sqlite3 >/dev/null; then
  ovc export holds.ovc --to sqlite -o holds.db
  [[ $(sqlite3 holds.db 'SELECT sum(charged_ever_bytes) / 1024, sum(charged_now_bytes) / 1024 FROM growth') == "$ever|$now" ]] || fail "sqlite"
  [[ $(sqlite3 holds.db "SELECT sum(charged_bytes) / 1024 FROM v_growth_by_caller WHERE comm = 'holds'") == "$ever" ]] || fail "by caller"
  [[ $(sqlite3 holds.db "SELECT charged_bytes / 1024 FROM v_growth_by_caller WHERE caller = 'grows_memory'") == "$(of_function grows_memory)" ]] ||
    fail "grows_memory by caller"
fi

# The highest of all readings, which the kept ones cannot pass.
ovc stats --json holds.ovc >stats.json
peak=$(jq '.processes[] | select(.comm == "holds") | .peak_vm_size_kb' stats.json)
if command -v sqlite3 >/dev/null; then
  sqlite3 holds.db "SELECT count(*) > 0 AND max(vm_size_bytes) / 1024 <= $peak AND max(committed_as_bytes) > 0 FROM readings WHERE comm = 'holds'" >kept.txt
  finds '^1$' kept.txt
  [[ $(sqlite3 holds.db "SELECT peak_vm_size_bytes / 1024 FROM processes WHERE comm = 'holds'") == "$peak" ]] || fail "peak: not $peak kB"
fi
jq -e '.processes[] | select(.comm == "holds") | 0 < .peak_resident_kb and .peak_resident_kb <= .peak_vm_size_kb and .peak_data_kb > 0' stats.json >/dev/null ||
  fail "peaks: $(jq -c '.processes[] | [.comm, .peak_vm_size_kb, .peak_resident_kb, .peak_data_kb]' stats.json)"
ovc stats holds.ovc >stats.txt
finds '^  highest +VmSize [0-9,]+ kB, VmRSS [0-9,]+ kB, VmData and VmStk [0-9,]+ kB of all readings since its program began$' stats.txt

ovc export holds.ovc --to perfetto -o trace.json
[[ $(jq '[.traceEvents[] | select(.cat == "growth") | .args.charged_ever_bytes] | add / 1024' trace.json) == "$ever" ]] || fail "trace"

ovc report holds.ovc -o holds.html || (($? == 1))
sed -n 's,.*<script type="application/json" id="data">\(.*\)</script>$,\1,p' holds.html >data.json
jq -e --argjson ever "$ever" --argjson now "$now" '.stacks_at_end and .stacks[1] == $ever and .stacks[2] == $now' data.json >/dev/null ||
  fail "report: $(jq -c '[.stacks_at_end, .stacks[1], .stacks[2]]' data.json), not $ever and $now"
finds 'still charged at the end' holds.html
