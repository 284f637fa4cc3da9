#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A heap that the program's own sbrk begins is in `ovc maps`, also where what libc calls inside itself is not recorded (forbidden, or
# by OVCSHIM_LIBC_INTERNALS=0): without the stack, the accountable sum is the kernel's.
. "$(dirname "$0")/../fixtures/e2e.sh"
pid=
on_exit() { [[ -z $pid ]] || kill -9 "$pid" 2>/dev/null || :; }

for internals in 1 0; do
  coproc PROGRAM { exec env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/$internals.ovc" OVCSHIM_LIBC_INTERNALS=$internals first_sbrk; }
  # shellcheck disable=SC2153  # set by coproc
  pid=$PROGRAM_PID
  read -r ready <&"${PROGRAM[0]}"
  [[ $ready == ready ]] || fail "the program says $ready"
  kernel=$(awk '/^Size:/ { kb = $2 } /^VmFlags:/ && / ac( |$)/ && !/ gd( |$)/ { sum += kb } END { print sum }' "/proc/$pid/smaps")
  kill -9 "$pid"
  wait "$pid" 2>/dev/null || :
  pid=
  exits 0 ovc maps --json "$internals.ovc" >maps.json
  ledger=$(jq -r '[.mappings[] | select(.flags | test(" gd") | not) | .charged] | "\(map(.low_kb) | add) \(map(.high_kb) | add)"' maps.json)
  echo "OVCSHIM_LIBC_INTERNALS=$internals: the kernel has $kernel kB, ovc maps $ledger"
  [[ $ledger == "$kernel $kernel" ]] || fail "the sums differ"
  # malloc's own growth is seen only with libc's inner calls: without them no sum is said to be exact.
  [[ $(jq .exact maps.json) == $( ((internals)) && echo true || echo false) ]] || fail "exact: $(jq .exact maps.json)"
done
