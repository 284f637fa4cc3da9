# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# What can be run in a guest; sourced by main.sh. Each part is a function, in a shell of its own.
export PATH=$OVC_BUILD:$OVC_BUILD/programs:$PATH
tests=$OVC_SOURCE/tests

# The kernel's rules in each mode: assertions of the unit tests that ask the kernel.
part_rules() {
  local status=0
  "$tests/e2e/rules_in_each_mode.sh" >rules.out 2>&1 || status=$?
  cat rules.out
  assertions rules.out
  return $status
}
# assertions FILE: the sums of Catch's last lines
assertions() {
  awk '/^All tests passed/ { gsub(/[^0-9 ]/, ""); right += $1 }
    /^assertions:/ { for (i = 2; i <= NF; ++i) if ($i == "passed") right += $(i - 1); else if ($i == "failed") wrong += $(i - 1) }
    END { print "figures", right + 0, 0, wrong + 0 }' "$1"
}
part_ledger() {
  local status=0
  OVC_LEDGER_SEEDS=${ovc[seeds]:-20} ovc_tests '[property]' >ledger.out 2>&1 || status=$?
  cat ledger.out
  assertions ledger.out
  return $status
}
part_cases() {
  local status=0
  # Emulated, beside whatever else runs: a case may take long.
  OVC_CASE_SECONDS=300 "$tests/cases/run.sh" ${ovc[count]:+--count "${ovc[count]}"} ${ovc[only]:+--only "${ovc[only]}"} ${ovc[slice]:+--slice "${ovc[slice]}"} \
    ${ovc[seed]:+--seed "${ovc[seed]}"} >cases.out 2>&1 || status=$?
  cat cases.out
  # of the table by mode: cases right unknown wrong defect granted left out; an amount in the band may be granted
  awk '$1 == "all" { right = $3 + $7; unknown = $4; wrong = $5 + $6 } END { print "figures", right + 0, unknown + 0, wrong + 0 }' cases.out
  return $status
}
part_border() { OVC_BORDER_ROUNDS=2 "$tests/e2e/check_border.sh"; }
part_rehearsal() { "$tests/e2e/rehearsal_is_real.sh"; }
part_capture() { "$tests/e2e/capture.sh"; }
part_groups() { "$tests/e2e/groups.sh"; }
part_limits() { "$tests/kernels/guest/limits.sh" "${ovc[only]-}"; }
part_selinux() { "$tests/kernels/guest/selinux.sh" "${ovc[only]-}"; }
part_memory() { scripts e2e/save_groups e2e/group_kills; }
part_maps() { "$tests/e2e/maps_sbrk.sh"; }
# script NAME...: scripts in turn; each counts as one right or wrong, or not at all if it is skipped
scripts() {
  local name status right=0 wrong=0
  for name; do
    status=0
    "$tests/$name.sh" || status=$?
    echo "$name: status $status"
    case $status in 0) right=$((right + 1)) ;; 77) ;; *) wrong=$((wrong + 1)) ;; esac
  done
  echo "figures $right 0 $wrong"
  ((wrong == 0))
}
part_reasons() {
  local status=0
  "$tests/e2e/errno_reasons.sh" >reasons.out 2>&1 || status=$?
  cat reasons.out
  awk '/reasons made/ { print "figures", $1 - $4, 0, $4 }' reasons.out
  return $status
}
part_ends() { "$tests/e2e/ordinary_ends.sh"; }
part_hostile() { scripts hostile/same_results hostile/interrupted hostile/own_message; }
