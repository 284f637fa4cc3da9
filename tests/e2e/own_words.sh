#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Advice in the service's own words: limits as systemd and Docker name them for a process in their groups and for no other.
. "$(dirname "$0")/../fixtures/e2e.sh"
((EUID == 0)) || skip "only root can make control groups"
top=$(awk '$3 == "cgroup" && ("," $4 ",") ~ /,pids,/ { print $2; exit }' /proc/mounts)
[[ -n $top ]] || skip "no pids controller of version 1 is mounted"
here=$top$(awk -F: '("," $2 ",") ~ /,pids,/ { print $3 }' /proc/self/cgroup)
unit=ovcshim-$$.service
id=$(printf '%064x' $$)
groups=("${here%/}/$unit" "${here%/}/docker" "${here%/}/docker/$id" "${here%/}/ovcshim-$$")
made=()
on_exit() {
  local group
  for group in "${made[@]}"; do
    for _ in {1..100}; do
      ! rmdir "$group" 2>/dev/null || break
      sleep 0.1  # its last processes are gone for wait() and still on their way out
    done
  done
}
for group in "${groups[@]}"; do
  [[ ! -e $group ]] || continue
  mkdir "$group" 2>/dev/null || skip "cannot make a group under $here"
  made=("$group" "${made[@]}")
done

# refused_in GROUP LOG: why's advice on a fork over its limit of tasks
refused_in() {
  echo 3 >"$1/pids.max"
  (echo "$BASHPID" >"$1/cgroup.procs" && exec env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/$2" refused tasks:2 call:fork >/dev/null) ||
    fail "the situation could not be made in $1"
  exits 1 ovc why "$work/$2" >"$2.txt"
}
refused_in "${groups[0]}" unit.ovc
finds "to do +this service only: a higher task limit of its control group \(TasksMax= in $unit\)" unit.ovc.txt
! grep -E "docker|podman|kubelet" unit.ovc.txt || fail "not in a container"
refused_in "${groups[2]}" docker.ovc
finds "to do +this service only: a higher task limit of its control group \(docker run --pids-limit\)" docker.ovc.txt
! grep TasksMax docker.ovc.txt || fail "not in a unit"
refused_in "${groups[3]}" other.ovc
# The files of a container count where the path says nothing.
where=
[[ ! -e /.dockerenv ]] || where=" \(docker run --pids-limit\)"
[[ ! -e /run/.containerenv ]] || where=" \(podman run --pids-limit\)"
[[ ! -e /var/run/secrets/kubernetes.io ]] || where=" \(podPidsLimit of the kubelet\)"
finds "to do +this service only: a higher task limit of its control group$where, also" other.ovc.txt
