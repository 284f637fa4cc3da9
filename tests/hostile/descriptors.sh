#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The descriptors that the shim has while it reads /proc: no thread loses a file over them, no forked child inherits one, and a handler
# that jumps away leaves none behind. Pitfall covered: closing by number what may be somebody else's by now.
. "$(dirname "$0")/../fixtures/e2e.sh"

seconds=4
for internals in 0 1; do
  for what in lost children jump; do
    under "$work/$what$internals.ovc" env OVCSHIM_LIBC_INTERNALS=$internals descriptors $what $seconds >shim.out || fail "$what: exit status $?"
    cat shim.out
    read -r rounds wrong < <(sed 's/[^0-9]*\([0-9]*\)[^0-9]*/\1 /g' shim.out)
    ((rounds > 100)) || fail "$what: only $rounds rounds"
    # What is left to chance between the shim's last look at a number and its close, of rounds that do nothing but provoke it.
    allowed=0
    [[ $what != lost ]] || allowed=$((rounds / 10000 + 1))
    ((wrong <= allowed)) || fail "$what: $wrong of $rounds"
    ovc show "$work/$what$internals.ovc" --op mmap >calls || (($? == 1))
    finds 'ENOMEM' calls
    rm -f "$work/$what$internals.ovc"
  done
done
