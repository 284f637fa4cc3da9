#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A child that the OOM killer of a memory group ended: for whose limit, by that group's counters. The limit of its own group, that of the
# group above it with none of its own or with a larger one that was never reached, of either version of control groups; version 2 as
# well with memory.oom.group, where the parent ends with it. A limit that did not do it is never named as the one that did.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/memory_groups.sh"
command -v python3 >/dev/null || skip "python3 is not installed"
groups_find || skip "$groups_why"
outer=$groups_here/ovcshim-$$ inner=$groups_here/ovcshim-$$/inner
on_exit() {
  group_gone "$inner"
  group_gone "$outer"
}
group_make "$outer"
[[ $groups_version == 1 ]] || echo +memory >"$outer/cgroup.subtree_control"

# killed LOG: a shell in the inner group, whose child takes more than any limit here
killed() {
  # shellcheck disable=SC2016  # the inner shell's
  (echo $BASHPID >"$inner/cgroup.procs" && under "$1" bash -c 'python3 -c "
open(\"/proc/self/oom_score_adj\", \"w\").write(\"900\")
x = bytearray(400 << 20)"; exit 0') || (($? == 137)) || fail "$1 could not be made"
}
fresh() {
  group_gone "$inner"
  group_make "$inner"
}
told() { ovc why "$1" >"$1.txt" || (($? == 1)); }

# --- its own limit; of version 1 also with one of memory and swap, which is counted in a file of its own
fresh
group_limit "$inner" 100
[[ ! -w $inner/memory.memsw.limit_in_bytes ]] || echo -1 >"$inner/memory.memsw.limit_in_bytes"
killed own.ovc
told own.ovc
finds 'was killed by SIGKILL' own.ovc.txt
finds 'the OOM killer of its control group counted 1 kill since .* \(oom_kill 0 -> 1\)' own.ovc.txt
finds "control group $inner: memory limit 102,400 kB" own.ovc.txt
finds 'to do: a higher memory limit' own.ovc.txt
! grep -F 'suspect' own.ovc.txt || fail "its own limit is proven"
if [[ -w $inner/memory.memsw.limit_in_bytes ]]; then
  fresh
  group_limit "$inner" 100
  killed swap.ovc
  told swap.ovc
  finds "control group $inner: memory limit 102,400 kB" swap.ovc.txt
  ! grep -E 'not for the limit|the host was' swap.ovc.txt || fail "it was its own limit"
fi

# --- that of the group above, its own has none
fresh
group_limit "$outer" 120
killed above.ovc
told above.ovc
finds 'an OOM killer ended 1 process of its control group since .* \(oom_kill 0 -> 1\)' above.ovc.txt
finds "its own group has no memory limit \($inner\)" above.ovc.txt
finds "suspect: control group $outer: memory limit 122,880 kB.*\(not proven\)" above.ovc.txt
finds "to do: a higher memory limit of $outer" above.ovc.txt
! grep -F 'it: the host was out of memory' above.ovc.txt || fail "the host was not"

# --- that of the group above, its own is larger
fresh
group_limit "$inner" 110
group_limit "$outer" 80
killed larger.ovc
told larger.ovc
[[ $groups_version == 1 ]] || finds "not for the limit of its own group: $inner: memory limit 112,640 kB.*, not reached since" larger.ovc.txt
finds "suspect: control group $outer: memory limit 81,920 kB" larger.ovc.txt

# --- all together
if [[ -e $outer/memory.oom.group ]]; then
  fresh
  group_limit "$outer" 300
  group_limit "$inner" 100
  echo 1 >"$inner/memory.oom.group"
  killed together.ovc
  told together.ovc
  finds 'the OOM killer of its control group counted [2-9] kills since .* \(oom_kill 0 -> [2-9]\)' together.ovc.txt
  finds "control group $inner: memory limit 102,400 kB" together.ovc.txt
fi
