#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Programs that journal their own calls are killed at random moments, and each log is compared with its journal.
#   kill.sh [--kills N] [--seed S] [--from K]   a few hundred for every day; 10000 in the long run, resumed with the same seed and --from
#   kill.sh --self-test                         damages logs: the comparison has to notice
. "$(dirname "$0")/../fixtures/e2e.sh"

kill_test --shim "$shim" --victim "$build/trust/victim" --keep /var/tmp "$@"
