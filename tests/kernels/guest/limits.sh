#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Limits that are the whole machine's, and those of control groups of either version: made for real, each with a cause that is known
# because it was set. Only for a machine of one's own (tests/kernels): it has too few tasks and process numbers for moments.
#   limits.sh [WORD]    only those with WORD in their names
# Last line: `figures RIGHT UNKNOWN WRONG`.
. "$(dirname "$0")/../../fixtures/e2e.sh"
only=${1-}
. "$(dirname "$0")/told.sh"
sys=/proc/sys

keep $sys/kernel/threads-max
keep $sys/kernel/pid_max
keep $sys/vm/nr_hugepages
keep $sys/vm/nr_overcommit_hugepages
tasks() { awk '{ split($4, of, "/"); print of[2] }' /proc/loadavg; }

for call in fork vfork clone pthread_create posix_spawn; do
  told "threads-max $call" threads-max -- tasks:3 "write:$sys/kernel/threads-max:$(($(tasks) - 2))" "call:$call"
done
# One number is left after the first round of numbers (kernel/pid.c alloc_pid()): the first child takes it.
for call in fork vfork clone pthread_create posix_spawn; do
  told "pid_max $call" pid-max -- "write:$sys/kernel/pid_max:301" crowd "call:$call"
  told "RLIMIT_NPROC near pid_max $call" rlimit-nproc -- "write:$sys/kernel/pid_max:400" uid:61001 tasks:2 limit:nproc:3 "call:$call"
done

if [[ -d /sys/kernel/mm/hugepages/hugepages-2048kB ]]; then
  pool() { echo "$1" >$sys/vm/nr_hugepages; echo "$2" >$sys/vm/nr_overcommit_hugepages; }
  pool 4 0
  told "pool" huge-page-pool 3 -- call:mmap-huge:14M
  pool 4 2
  told "pool that may grow" huge-page-pool 1 -- call:mmap-huge:14M
  pool 0 0
  told "no pool" huge-page-pool 1 -- call:mmap-huge:2M
  pool 2 0
  told "memfd" huge-page-pool -- call:mmap-huge-memfd
  pool 0 0
fi

# The groups of this machine: version 1 or 2.
pids=$(awk '$3 == "cgroup" && $4 ~ /pids/ { print $2; exit } $3 == "cgroup2" { v2 = $2 } END { print v2 }' /proc/mounts | head -n 1)
group=$pids/limits
mkdir -p "$group/inner"
[[ ! -e $pids/cgroup.subtree_control ]] || echo +pids >"$group/cgroup.subtree_control"
empty() { for _ in {1..200}; do [[ $(<"$1/pids.current") != 0 ]] || return 0; sleep 0.05; done; }
for call in fork vfork clone pthread_create posix_spawn; do
  for place in "$group/inner" "$group"; do
    echo 3 >"$place/pids.max"
    told "pids.max of ${place##*/} $call" pids-max -- "join:$group/inner" tasks:2 "call:$call"
    empty "$group/inner"
    echo max >"$place/pids.max"
  done
done
rmdir "$group/inner" "$group"

# Huge pages of a group (version 2: hugetlb.2MB.rsvd.max; the kernel asks the group before the pool).
huge=$(awk '$3 == "cgroup" && $4 ~ /hugetlb/ { print $2; exit } $3 == "cgroup2" { v2 = $2 } END { print v2 }' /proc/mounts | head -n 1)
for file in hugetlb.2MB.rsvd.max hugetlb.2MB.rsvd.limit_in_bytes; do
  mkdir -p "$huge/huge"
  [[ -e $huge/huge/$file ]] || continue
  echo 2097152 >"$huge/huge/$file"
  echo 10 >$sys/vm/nr_overcommit_hugepages
  told "huge pages of a group, ${file##*.}" huge-page-group -- "join:$huge/huge" call:mmap-huge:4M
done
for _ in {1..200}; do rmdir "$huge/huge" 2>/dev/null && break; sleep 0.05; done

figures
