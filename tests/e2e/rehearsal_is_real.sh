#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The same program is refused at the same call, with the same errno, by the kernel under vm.overcommit_memory = 2 and by a
# rehearsal of that setting under mode 0; and under a rehearsed limit of RAM and swap as by the kernel in mode 0.
# 320 MiB are asked for at a time and the border lies between two calls, farther from both than the kernel's own counter may be
# off (RAM / 256); a run during which other processes were promised or gave back more than 48 MiB is made again.
. "$(dirname "$0")/../fixtures/e2e.sh"
amount_mib=320
room=1184M

committed() { awk '$1 == "Committed_AS:" { print $2 }' /proc/meminfo; }
# steady CMD...: its output, from a run in which the rest of the machine kept still
steady() {
  local before after
  for _ in {1..20}; do
    before=$(committed)
    "$@" >run.out
    after=$(committed)
    if ((after - before < 49152 && before - after < 49152)); then cat run.out; return; fi
  done
  skip "other processes are promised memory by the 100 MiB all the time"
}
really() {
  overcommit.sh 2 +$room
  under real.ovc grows "$1" $amount_mib
}
rehearsed() { ovc run -o rehearsed.ovc --rehearse "mode=2,limit=+$room" -- grows "$1" $amount_mib 2>/dev/null; }

if [[ ${1-} != --inside ]]; then
  status=0
  overcommit.sh 2 +$room -- "$source_dir/tests/e2e/rehearsal_is_real.sh" --inside || status=$?
  exit $status
fi
kinds=(mmap noreserve shared malloc sbrk mprotect mremap fork clone pthread arena number shmget)
[[ ! " $(without_terminals forkpty) " == *" forkpty "* ]] || kinds+=(forkpty)
for kind in "${kinds[@]}"; do steady really "$kind"; done >real
overcommit.sh 0
for kind in "${kinds[@]}"; do
  rm -f rehearsed.ovc
  steady rehearsed "$kind"
  exits 1 ovc why --json rehearsed.ovc >verdict.json
  [[ $(jq -r '[.verdicts[].cause] | unique | join(" ")' verdict.json) == rehearsed ]] || fail "$kind: not said to be a rehearsal"
done >as_rehearsed
cat real
same real as_rehearsed "the kernel (-) and the rehearsal (+) differ"
# Mode 0 looks at each single request: exactly RAM and swap passes, a page more does not.
ovc run -o mode0.ovc --rehearse "mode=0,limit=${amount_mib}M" -- grows mmap $amount_mib >mode0.out 2>/dev/null
grep -qx 'mmap: refused at call 65 with errno 0' mode0.out || fail "mode 0: $(<mode0.out)"
ovc run -o mode0.ovc --rehearse "mode=0,limit=$((amount_mib * 1024 - 4))K" -- grows mmap $amount_mib >mode0.out 2>/dev/null
grep -qx 'mmap: refused at call 1 with errno 12' mode0.out || fail "mode 0: $(<mode0.out)"
! grep -q 'call 1 \|errno 0' real || fail "a refusal that says nothing"
