#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A seccomp filter that the program sets by an instruction of its own, and that kills whoever opens a file: the shim asks whether there
# is one before it opens its next, and opens none.
. "$(dirname "$0")/../fixtures/e2e.sh"
status=0
unseen_filter >plain.out || status=$?
((status != 77)) || skip "no seccomp filters here"
((status == 0)) || fail "without the shim it ends with $status"
exits 0 under "$work/log.ovc" unseen_filter >shim.out
same plain.out shim.out
ovc forks log.ovc >forks.out || (($? == 1))
finds 'fork.*main' forks.out
