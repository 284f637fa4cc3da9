#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The rows of commit_rules.h against the running kernel under each vm.overcommit_memory (the unit tests see only today's).
. "$(dirname "$0")/../fixtures/e2e.sh"
if [[ ${1-} != --inside ]]; then
  status=0
  overcommit.sh 0 -- "$source_dir/tests/e2e/rules_in_each_mode.sh" --inside || status=$?
  exit $status
fi
for mode in 0 1 2; do
  if ((mode == 2)); then overcommit.sh 2 +3G; else overcommit.sh $mode; fi
  echo "mode $(</proc/sys/vm/overcommit_memory):"
  ovc_tests '[kernel]' >out || { cat out; fail "in mode $mode"; }
  tail -n 2 out
done
