#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The judge of `ovc why`: makes hundreds of failing situations for real (tests/programs/refused.c), each with a cause that is
# known because it was set (table.py), and compares the verdicts with it: no wrong one, at most 1 % unknown.
#   run.sh [--seed N] [--count N] [--only WORD] [--slice I/N] [--keep DIR]
# Other seeds draw other amounts and other things that happened before; --slice: of each N cases the Ith. Needs root.
set -euo pipefail
here=$(realpath "$(dirname "$0")")
. "$here/../fixtures/e2e.sh"
((EUID == 0)) || skip "only root can set limits of the machine and make cgroups and namespaces"
unshare -m true 2>/dev/null || skip "no mounts of its own can be made here (the root of a chroot is no mount point)"
options=()
keep=
while (($#)); do
  case $1 in
    --keep) keep=$(realpath "$2"); shift 2 ;;
    *) options+=("$1"); shift ;;
  esac
done
# Results stand apart from the logs that are kept: they are not lost where those fill the disk.
results=$work/results
: >"$results"
judge=(python3 "$here/judge.py" "${options[@]}" ${keep:+--keep} --logs "${keep:-$work}" --results "$results")
batches=$("${judge[@]}" --batches)
for ((batch = 0; batch < batches; batch++)); do
  for mode in 2 0 1; do
    limit=()
    ((mode != 2)) || limit=(+4G)
    status=0
    overcommit.sh $mode "${limit[@]}" -- "${judge[@]}" --mode $mode --batch $batch || status=$?
    ((status == 0)) || exit $status
  done
done
status=0
"${judge[@]}" || status=$?
[[ -z $keep ]] || cp "$results" "$keep/results" || echo "the results could not be copied to $keep"
exit $status
