#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A program that sets a seccomp filter for itself. One that lets pass, or answers with an errno, whatever the shim calls changes
# nothing: what is refused afterwards is proven. One that may end the program over such a call, or raise SIGSYS, is respected: the shim
# makes none any more, the program goes on.
. "$(dirname "$0")/../fixtures/e2e.sh"
own_filter nothing prctl || (($? != 77)) || skip "no seccomp filters here"
# proven KIND HOW CAUSE
proven() {
  rm -f log.ovc
  own_filter "$1" "$2" || fail "$1 by $2 alone: $?"
  LD_PRELOAD=$shim OVCSHIM_LOG=$work/log.ovc own_filter "$1" "$2" || fail "$1 by $2: $?"
  exits 1 ovc why --json log.ovc >why.json
  jq -e --arg cause "$3" '[.verdicts[].cause] == [$cause]' why.json >out || fail "$1 by $2: $(jq -c '[.verdicts[].cause]' why.json), not $3"
}
for how in prctl seccomp; do
  for kind in nothing no_ptrace no_madvise; do proven "$kind" "$how" rlimit-as; done
  for kind in kills_openat traps_pread kills_some; do proven "$kind" "$how" unknown; done
done
echo "all right"
