#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `ovc plan` from the log of a refused fork: the charge of that fork, and settings under which the same fork then passes.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/forker.sh"
on_exit() { forker_stop; }

if [[ ${1-} != --inside ]]; then
  status=0
  overcommit.sh 2 +4G -- "$source_dir/tests/e2e/plan_log.sh" --inside || status=$?
  exit $status
fi
LD_PRELOAD=$shim OVCSHIM_LOG=$work/log.ovc forker_start ac=1572864 nr=1024
exits 2 ovc plan log.ovc 2>err
finds '^ovc: no fork with all of its mappings in log.ovc: ' err
# A granted fork is as good a start: its charge is what `ovc check` says of the living process.
overcommit.sh 0
charge_kb=$(checked .charge.kb)
[[ $(tell fork) == passed ]] || fail "a fork in mode 0 was refused"
overcommit.sh 2 +4G
exits 0 ovc plan log.ovc --mode 0 --json >plan.json
[[ $(jq .charge_kb plan.json) == "$charge_kb" && $(jq .granted plan.json) != null ]] || fail "of a granted fork: $(<plan.json)"
[[ $(tell "grow 4") == grown ]] || fail "no room for a page"  # and its child ends
overcommit.sh 2 +1100M
charge_kb=$(checked .charge.kb)
[[ $(tell fork) == "refused ENOMEM" ]] || fail "the fork passed"
exits 1 ovc plan log.ovc --json >plan.json
[[ $(jq .charge_kb plan.json) == "$charge_kb" ]] || fail "charge $(jq .charge_kb plan.json) kB, not $charge_kb kB"
[[ $(jq .pid plan.json) == "$forker_pid" ]] || fail "pid"
exits 1 ovc plan log.ovc --pid "$forker_pid" >out
finds "^a fork of forker \(pid $forker_pid\), as it was when refused at [0-9:.]+: would be refused$" out
exits 2 ovc plan log.ovc --pid 1 2>err
surely_kb=$(jq .smallest_surely.overcommit_kbytes plan.json)
exits 0 ovc plan log.ovc --kbytes $((surely_kb + 4)) >out
exits 1 ovc plan log.ovc --kbytes $((surely_kb - 4)) >out
finds ': borderline$' out
exits 1 ovc plan log.ovc --kbytes $(($(jq .smallest.overcommit_kbytes plan.json) - 4)) --json >out
[[ $(jq .passes out) == false && $(jq .mode2.short_kb out) == 4 ]] || fail "one page less than the smallest"
exits 0 ovc plan log.ovc --mode 0 >out
exits 0 ovc plan log.ovc --mode 1 >out
# Others may have committed meanwhile: what plan named, and 256 MiB.
echo $((surely_kb + 262144)) >/proc/sys/vm/overcommit_kbytes
[[ $(tell fork) == passed ]] || fail "refused with overcommit_kbytes $surely_kb and 256 MiB more"
