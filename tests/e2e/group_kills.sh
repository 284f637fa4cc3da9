#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A child that the OOM killer of a memory group ended: for whose limit, by that group's counters. The limit of its own group, that of the
# group above it with none of its own or with a larger one that was never reached, of either version of control groups; version 2 as
# well with memory.oom.group, where the parent ends with it. A limit that did not do it is never named as the one that did.
. "$(dirname "$0")/../fixtures/e2e.sh"
((EUID == 0)) || skip "only root can make control groups"
command -v python3 >/dev/null || skip "python3 is not installed"
top=$(awk '$3 == "cgroup" && ("," $4 ",") ~ /,memory,/ { print $2; exit }' /proc/mounts)
if [[ -n $top ]]; then
  version=1 limit=memory.limit_in_bytes
  here=$top$(awk -F: '("," $2 ",") ~ /,memory,/ { print $3 }' /proc/self/cgroup)
  [[ -d $here ]] || here=$top
else
  version=2 limit=memory.max
  here=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
  [[ -n $here && " $(cat "$here/cgroup.controllers") " == *" memory "* ]] || skip "no memory controller is mounted"
  echo +memory >"$here/cgroup.subtree_control" 2>/dev/null || skip "the root of control groups does not hand on the memory controller"
fi
outer=${here%/}/ovcshim-$$ inner=${here%/}/ovcshim-$$/inner
mkdir "$outer" 2>/dev/null || skip "cannot make a memory group under $here"
# version 1, but for hosts where it is the default anyway
[[ ! -w $outer/memory.use_hierarchy ]] || echo 1 >"$outer/memory.use_hierarchy" 2>/dev/null || true
[[ $version == 1 ]] || echo +memory >"$outer/cgroup.subtree_control"
gone() { for _ in {1..100}; do ! rmdir "$1" 2>/dev/null || return 0; sleep 0.1; done; }
on_exit() { [[ ! -d $inner ]] || gone "$inner"; gone "$outer"; }
set_limit() {
  echo $(($2 << 20)) >"$1/$limit"
  [[ ! -w $1/memory.memsw.limit_in_bytes ]] || echo $(($2 << 20)) >"$1/memory.memsw.limit_in_bytes" 2>/dev/null || true
  [[ ! -w $1/memory.swap.max ]] || echo 0 >"$1/memory.swap.max"
}

# killed LOG: a shell in the inner group, whose child takes more than any limit here
killed() {
  # shellcheck disable=SC2016  # the inner shell's
  (echo $BASHPID >"$inner/cgroup.procs" && under "$1" bash -c 'python3 -c "
open(\"/proc/self/oom_score_adj\", \"w\").write(\"900\")
x = bytearray(400 << 20)"; exit 0') || (($? == 137)) || fail "$1 could not be made"
}
fresh() {
  [[ ! -d $inner ]] || gone "$inner"
  mkdir "$inner"
}
told() { ovc why "$1" >"$1.txt" || (($? == 1)); }

# --- its own limit
fresh
set_limit "$inner" 100
killed own.ovc
told own.ovc
finds 'was killed by SIGKILL' own.ovc.txt
finds 'the OOM killer of its control group counted 1 kill since .* \(oom_kill 0 -> 1\)' own.ovc.txt
finds "control group $inner: memory limit 102,400 kB" own.ovc.txt
finds 'to do: a higher memory limit' own.ovc.txt
! grep -F 'suspect' own.ovc.txt || fail "its own limit is proven"

# --- that of the group above, its own has none
fresh
set_limit "$outer" 120
killed above.ovc
told above.ovc
finds 'an OOM killer ended 1 process of its control group since .* \(oom_kill 0 -> 1\)' above.ovc.txt
finds "its own group has no memory limit \($inner\)" above.ovc.txt
finds "suspect: control group $outer: memory limit 122,880 kB.*\(not proven\)" above.ovc.txt
finds "to do: a higher memory limit of $outer" above.ovc.txt

# --- that of the group above, its own is larger
fresh
set_limit "$inner" 110
echo $((390 << 20)) >"$outer/$limit" 2>/dev/null || true
set_limit "$outer" 80
killed larger.ovc
told larger.ovc
finds "not for the limit of its own group: $inner: memory limit 112,640 kB.*, not reached since" larger.ovc.txt
finds "suspect: control group $outer: memory limit 81,920 kB" larger.ovc.txt

# --- all together
if [[ -e $outer/memory.oom.group ]]; then
  fresh
  set_limit "$outer" 300
  set_limit "$inner" 100
  echo 1 >"$inner/memory.oom.group"
  killed together.ovc
  told together.ovc
  finds 'the OOM killer of its control group counted 2 kills since .* \(oom_kill 0 -> 2\)' together.ovc.txt
  finds "control group $inner: memory limit 102,400 kB" together.ovc.txt
fi
