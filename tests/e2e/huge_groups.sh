#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A limit on huge pages of a control group (hugetlb controller, version 2): of its own group and of one above it; where only a part of
# the tree is mounted; and a group that is not the process's own proves nothing.
. "$(dirname "$0")/../fixtures/e2e.sh"
((EUID == 0)) || skip "only root can make control groups"
top=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
[[ -n $top && " $(<"$top/cgroup.controllers") " == *" hugetlb "* ]] || skip "no hugetlb controller of version 2 here"
[[ -d /sys/kernel/mm/hugepages/hugepages-2048kB ]] || skip "no huge pages of 2 MB here"
had=" $(<"$top/cgroup.subtree_control") "
[[ $had == *" hugetlb "* ]] || echo +hugetlb >"$top/cgroup.subtree_control" 2>/dev/null || skip "hugetlb groups are not ours to make"
outer=$top/ovcshim-huge.$$
on_exit() {
  rmdir "$outer/inner" "$outer"
  [[ $had == *" hugetlb "* ]] || echo -hugetlb >"$top/cgroup.subtree_control" 2>/dev/null || true  # others may use it by now
}
mkdir "$outer"
echo +hugetlb >"$outer/cgroup.subtree_control"
mkdir "$outer/inner"
[[ -e $outer/inner/hugetlb.2MB.rsvd.max ]] || skip "no limits on reserved huge pages (Linux 5.7)"

# asked_in LOG CMD...: why's verdict on a mapping of huge pages that is refused in the inner group; CMD goes before the program
asked_in() {
  local log=$1
  shift
  (echo "$BASHPID" >"$outer/inner/cgroup.procs" && LD_PRELOAD='' exec "$@" env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/$log" \
    refused call:mmap-huge-memfd >/dev/null) || fail "the situation could not be made: $log"
  exits 1 ovc why "$log" >"$log.txt"
}

asked_in none.ovc env
finds "cause +not enough free huge pages" none.ovc.txt

echo $((4 << 20)) >"$outer/inner/hugetlb.2MB.rsvd.max"
asked_in own.ovc env
finds "cause +huge page limit of the control group reached \(hugetlb\)" own.ovc.txt
finds "note +the control group: $outer/inner$" own.ovc.txt
finds "limit 4,096 kB" own.ovc.txt

# Mounted from the outer group on, as a container without a cgroup namespace sees it.
# shellcheck disable=SC2016 # the inner shell's
asked_in shifted.ovc unshare -m bash -c 'mount --bind "$0" "$1" && exec "${@:2}"' "$outer" "$top"
finds "cause +huge page limit of the control group reached \(hugetlb\)" shifted.ovc.txt
finds "note +the control group: $top/inner$" shifted.ovc.txt

# In a cgroup namespace of its own: mounted anew as container runtimes do, its group is the top; else it is not known which one is its own.
# shellcheck disable=SC2016
asked_in namespace.ovc unshare -C -m bash -c 'umount -l "$0" && mount -t cgroup2 none "$0" && exec "$@"' "$top"
finds "cause +huge page limit of the control group reached \(hugetlb\)" namespace.ovc.txt
finds "note +the control group: $top$" namespace.ovc.txt
asked_in hidden.ovc unshare -C env
finds "cause +not enough free huge pages" hidden.ovc.txt

echo max >"$outer/inner/hugetlb.2MB.rsvd.max"
echo $((6 << 20)) >"$outer/hugetlb.2MB.rsvd.max"
asked_in above.ovc env
finds "cause +huge page limit of a control group above its own reached \(hugetlb\)" above.ovc.txt
finds "note +the control group: $outer$" above.ovc.txt

# A mount that does not hold the process's group: what stands there is another's.
other=$top/ovcshim-huge-other.$$
mkdir "$other"
echo 0 >"$other/hugetlb.2MB.rsvd.max"
echo max >"$outer/hugetlb.2MB.rsvd.max"
status=0
# shellcheck disable=SC2016
asked_in other.ovc unshare -m bash -c 'mount --bind "$0" "$1" && exec "${@:2}"' "$other" "$top" || status=$?
rmdir "$other"
((status == 0)) || exit $status
finds "cause +not enough free huge pages" other.ovc.txt
