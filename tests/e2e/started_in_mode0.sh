#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# examples/started_in_mode0.sh prints what its header promises.
. "$(dirname "$0")/../fixtures/e2e.sh"

status=0
OVC_BUILD=$build "$source_dir/examples/started_in_mode0.sh" >out 2>&1 || status=$?
cat out
((status != 77)) || exit 77
((status == 0)) || fail "exit status $status"
