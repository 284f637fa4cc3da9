#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Limits of control groups by version 1: of its own group where only a part of the tree is mounted, of one above it, beside a
# finite RLIMIT_NPROC, and RLIMIT_NPROC itself in the root of the hierarchy.
. "$(dirname "$0")/../fixtures/e2e.sh"
((EUID == 0)) || skip "only root can make control groups"
top=$(awk '$3 == "cgroup" && ("," $4 ",") ~ /,pids,/ { print $2; exit }' /proc/mounts)
[[ -n $top ]] || skip "no pids controller of version 1 is mounted"
here=$top$(awk -F: '("," $2 ",") ~ /,pids,/ { print $3 }' /proc/self/cgroup)
outer=${here%/}/ovcshim-groups.$$
mkdir -p "$outer/inner" 2>/dev/null || skip "cannot make a group under $here"
# The last processes of a group may be gone for wait() and still be on their way out of it.
emptied() {
  for _ in {1..100}; do
    [[ $(<"$1/pids.current") != 0 ]] || return 0
    sleep 0.1
  done
}
on_exit() { emptied "$outer/inner"; rmdir "$outer/inner" "$outer"; }
chmod 777 .
uid=$((200000 + $$))

# refused_in GROUP LOG STEP...: why's verdict on the fork at the end of the steps
refused_in() {
  local group=$1 log=$work/$2
  shift 2
  (echo "$BASHPID" >"$group/cgroup.procs" && exec env LD_PRELOAD="$shim" OVCSHIM_LOG="$log" refused "$@" call:fork >/dev/null) ||
    fail "the situation could not be made: $*"
  exits 1 ovc why "$log" >"$log.txt"
  [[ $group == "$top" ]] || emptied "$group"
}

echo 3 >"$outer/inner/pids.max"
refused_in "$outer/inner" own.ovc "shift:$outer:$top" tasks:2
finds "cause +task limit of the control group reached \(pids.max\)" own.ovc.txt
finds "note +the control group: $top/inner$" own.ovc.txt

refused_in "$outer/inner" beside.ovc "uid:$uid" limit:nproc:20 tasks:2
finds "cause +task limit of the control group reached \(pids.max\)" beside.ovc.txt

echo max >"$outer/inner/pids.max"
echo 3 >"$outer/pids.max"
refused_in "$outer/inner" above.ovc tasks:2
finds "cause +task limit of a control group above its own reached" above.ovc.txt
finds "note +the control group: $outer$" above.ovc.txt

refused_in "$outer/inner" user.ovc "shift:$outer:$top" "uid:$uid" tasks:1 limit:nproc:2
finds "cause +task limit of the user reached \(RLIMIT_NPROC\)" user.ovc.txt

if [[ $here == "$top/" ]]; then
  refused_in "$top" root.ovc "uid:$uid" tasks:2 limit:nproc:3
  finds "cause +task limit of the user reached \(RLIMIT_NPROC\)" root.ovc.txt
fi
