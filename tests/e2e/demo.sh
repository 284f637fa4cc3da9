#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# examples/demo.sh, the first of the two commands: what it prints, that every setting is back, and that it can be run again. The log
# says who holds the charge of the server, however few of its records are left: with the usual log, and with one of 1 MiB.
. "$(dirname "$0")/../fixtures/e2e.sh"

vm=(/proc/sys/vm/overcommit_{memory,ratio,kbytes})
log=$build/demo.ovc
# Of the server's growth, by the kernel's own lists, at least 99 % is explained.
explained() {
  ovc stats --json "$log" >stats.json
  jq -e '[.processes[] | select(.comm == "redis-server") | .growth | .explained_low_kb / .kernel_kb] | any(. >= 0.99 and . <= 1.01)' \
    stats.json >/dev/null || { jq -c '.processes[].growth' stats.json >&3; fail "growth is not explained, round $1"; }
}
# The report's timeline is whole, and so is its charge by stack, whatever the records forgot: 500 readings, or in a short run one in 40 ms
# (they are taken by calls, every 10 ms at most).
timeline() {
  ovc report "$log" -o demo.html || (($? == 1))
  sed -n 's,.*<script type="application/json" id="data">\(.*\)</script>$,\1,p' demo.html >data.json
  local ever
  ever=$(ovc stats --stacks --json "$log" | jq .charged_ever_kb.low)
  jq -e --argjson ever "$ever" '([500, .span / 40000] | min) <= (.readings.points | length) and .stacks[1] >= $ever and .stacks[2] > 0.9 * $ever' data.json >/dev/null ||
    fail "the report, round $1: $(jq -c '[(.readings.points | length), .stacks[1:3]]' data.json), not $ever kB"
}
for round in 1 2; do
  ((round == 1)) || export OVCSHIM_EVENTS_SIZE=1M
  before=$(cat "${vm[@]}")
  # The build directory is the one under test; left as it is configured.
  status=0
  OVC_BUILD=$build OVC_TESTS=ON "$source_dir/examples/demo.sh" >demo.out 2>&1 || status=$?
  ((status != 77)) || { cat demo.out; exit 77; }
  ((status == 0)) || { cat demo.out; fail "exit status $status, round $round"; }
  [[ $(cat "${vm[@]}") == "$before" ]] || fail "settings are not back"
  finds '^Next: .*ovc ' demo.out
  explained $round
  timeline $round
done
if [[ ! -w ${vm[0]} ]]; then
  finds '^== Not shown: the refusal' demo.out
  exit 0
fi
finds "Can't save in background: fork: Cannot allocate memory" demo.out
finds '^fork refused with ENOMEM at .* in redis-server \(pid [0-9]+\)' demo.out
finds '^ +held by +[0-9,]+ kB mmap <- ' demo.out
finds 'asked by +rdbSaveBackground|BGSAVE' demo.out
finds 'cause .*commit limit.*\(vm.overcommit_memory = 2\)' demo.out
finds '^a fork of redis-server \(pid [0-9]+\) would be refused now \(vm.overcommit_memory = 2\)' demo.out
finds '^  save +once a fork passes: (survives|as far as can be seen here it survives|may be killed for memory|not known)' demo.out
# The last lines are commands that work.
mapfile -t commands < <(sed -n '/^Next: /,$s/^\(Next:\|     \) //p' demo.out)
((${#commands[@]} == 2)) || fail "two commands are to be named"
for command in "${commands[@]}"; do
  exits 1 bash -c "cd '$source_dir' && $command" >next.out  # 1: a refused call is shown
  finds 'ENOMEM|passes from' next.out
done
cat demo.out
