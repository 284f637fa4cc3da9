#!/bin/bash
# SPDX-License-Identifier: MIT
# In the guest, as its process 1: sets the machine up as its command line says (ovc.NAME=VALUE), runs the parts, writes what came of
# each to the console and, as a tar archive, to the second disk; then ends the machine.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LC_ALL=C.UTF-8
here=$(dirname "$0")
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -o remount,rw /
ln -sfn /proc/self/fd /dev/fd
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
# The loopback interface: SIOCSIFFLAGS, IFF_UP.
python3 -c 'import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sH22x", b"lo", 1))' || echo "ovc-kernel: no loopback interface"
declare -A ovc=([cgroup]=2 [mode]=0)
for word in $(</proc/cmdline); do
  case $word in ovc.*=*) word=${word#ovc.}; ovc[${word%%=*}]=${word#*=} ;; esac
done
export OVC_BUILD=${ovc[build]} OVC_SOURCE=${ovc[source]}
say() { echo "ovc-kernel: $*"; }

version1_groups() {
  mount -t tmpfs cgroups /sys/fs/cgroup
  local controller
  for controller in pids memory hugetlb; do
    mkdir /sys/fs/cgroup/$controller
    mount -t cgroup -o $controller $controller /sys/fs/cgroup/$controller 2>/dev/null || { rmdir /sys/fs/cgroup/$controller; say "no $controller of version 1"; }
  done
}
version2_groups() {
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  for controller in pids memory hugetlb; do echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control || say "no $controller of version 2"; done
}
case ${ovc[cgroup]} in 1) version1_groups ;; 2) version2_groups ;; esac
[[ -z ${ovc[swap]-} ]] || swapon /dev/vdc
[[ -z ${ovc[thp]-} ]] || echo "${ovc[thp]}" >/sys/kernel/mm/transparent_hugepage/enabled
[[ -z ${ovc[hugepages]-} ]] || echo "${ovc[hugepages]}" >/proc/sys/vm/nr_hugepages
echo "${ovc[mode]}" >/proc/sys/vm/overcommit_memory
echo 100 >/proc/sys/vm/overcommit_ratio
. "$here/parts.sh"

# A part's last line says `figures RIGHT UNKNOWN WRONG`; without: 1 right, or wrong; 77 is skipped.
run_part() {
  local part=$1 log=/results/$1.log begun=$SECONDS status=0
  mkdir -p /var/tmp /results
  ("part_$part") >"$log" 2>&1 </dev/null || status=$?
  local figures
  figures=$(sed -n 's/^figures //p' "$log" | tail -n 1)
  [[ -n $figures ]] || if ((status == 0)); then figures="1 0 0"; else figures="0 0 1"; fi
  if ((status == 77)); then figures="skipped $(tail -n 1 "$log" | sed 's/^skipped: //')"; fi
  printf '%s\t%s\t%s\t%s\n' "$part" $status $((SECONDS - begun)) "$figures" >>/results/parts
  say "$part: status $status, $((SECONDS - begun)) s, $figures"
  tar -C /results -cf /dev/vdb . && sync
}
awk '/MemTotal|SwapTotal/' /proc/meminfo >/results/memory
say "Linux $(uname -r), $(nproc) processors"
cd /root || exit
for part in ${ovc[parts]//,/ }; do run_part "$part"; done
say "end"
sync
echo o >/proc/sysrq-trigger
while :; do read -r -t 60 _ </dev/console; done
