#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The charge that `ovc check` states is what a fork then adds to Committed_AS, for processes of many shapes; the bounds of
# --estimate hold it. Others commit meanwhile: each shape has ten tries, and 16 MiB of slack on 400 MiB.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/forker.sh"
on_exit() { forker_stop; }
if [[ ${1-} != --inside && -w /proc/sys/vm/overcommit_memory ]]; then  # nobody is to change the mode meanwhile
  status=0
  overcommit.sh 0 -- "$source_dir/tests/e2e/check_charge.sh" --inside || status=$?
  exit $status
fi
slack_kb=16384
big=409600

# charge_matches EXPECTED KIND=KB...: EXPECTED kB come from the shape, besides what every program has
charge_matches() {
  local expected_kb=$1 charge_kb delta_kb before_kb most_kb try
  shift
  forker_start "$@" || { echo "left out: $*"; return 0; }
  charge_kb=$(checked .charge.kb)
  most_kb=$(checked .charge_range.at_most_kb --estimate)
  ((charge_kb >= expected_kb && charge_kb < expected_kb + slack_kb)) || fail "$*: charge $charge_kb kB"
  ((most_kb >= charge_kb)) || fail "$*: the estimate says at most $most_kb kB, it is $charge_kb kB"
  for try in {1..10}; do
    before_kb=$(meminfo Committed_AS)
    [[ $(tell fork) == passed ]] || fail "$*: the fork was refused"
    delta_kb=$(($(meminfo Committed_AS) - before_kb))
    ((delta_kb < charge_kb - slack_kb || delta_kb > charge_kb + slack_kb)) || break
    ((try < 10)) || fail "$*: charge $charge_kb kB, but Committed_AS rose by $delta_kb kB"
    tell nothing >/dev/null
  done
  echo "$*: charge $charge_kb kB, Committed_AS rose by $delta_kb kB, estimate at most $most_kb kB"
  forker_stop
}

[[ $(</proc/sys/vm/overcommit_memory) != 2 ]] || skip "MAP_NORESERVE is ignored in mode 2"
charge_matches $big "ac=$big"
charge_matches 0 "nr=$big"
charge_matches 0 "dc=$big"
charge_matches 0 "sh=$big"
charge_matches $big "wf=$big"
charge_matches $big "ro=$big"
charge_matches $((2 * big)) "ac=$big" "nr=$big" "ro=$big" "dc=$big" "sh=$big"
charge_matches 0 huge=4096
