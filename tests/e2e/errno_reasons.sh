#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Each errno and each reason for it that can be made for real (tests/programs/refused_errno_table.h): `ovc why` has to name the
# right one.
#   errno_reasons.sh [WORD]    only cases with WORD in their names
. "$(dirname "$0")/../fixtures/e2e.sh"
((EUID == 0)) || skip "only root can make namespaces, mounts and limits of them"
program=$OVC_BUILD/programs/refused
only=${1-}
made=0
missed=0
wrong=0

# What the verdict about the call is: "CAUSE|SUMMARY", of an unknown one with its suspects.
verdict() {
  ("$OVC_BUILD/ovc" why --json "$1" || (($? == 1))) | python3 -c '
import json, sys
told = [v for v in json.load(sys.stdin)["verdicts"] if v["errno"] == sys.argv[1]]
# A question whose answer does no harm (is the address taken? has the file DAX?) has its reason, too.
for v in [v for v in told if not v["caller_coped"]] or told:
    print("|".join([v["cause"], v["summary"], *[s["text"] for s in v["suspects"]]]))' "$2"
}

while IFS=$'\t' read -r name err cause words; do
  [[ $name == *"$only"* ]] || continue
  rm -f "$work/log.ovc"
  status=0
  room=1M
  [[ $name != *-mappings ]] || room=16M  # for a list of 65,530
  said=$(LD_PRELOAD=$OVC_BUILD/libovcshim.so OVCSHIM_LOG=$work/log.ovc OVCSHIM_EVENTS_SIZE=$room OVCSHIM_CALLS_SIZE=0 \
    "$program" "call:$name" 2>&1) || status=$?
  if ((status != 0)) || [[ $said != *'"failed": true'* ]]; then
    echo "left out: $name: $said"
    missed=$((missed + 1))
    continue
  fi
  found=$(verdict "$work/log.ovc" "$err")
  made=$((made + 1))
  [[ $found == "$cause|"*"$words"* ]] && continue
  echo "$name: $err is told as '$found', not as $cause: ...$words..."
  wrong=$((wrong + 1))
done < <("$program" --errnos)
echo "$made reasons made, $wrong told wrong, $missed not to be made here"
((wrong == 0)) || fail "$wrong wrong reasons"
((made > 60)) || [[ $only ]] || fail "too few could be made here"
