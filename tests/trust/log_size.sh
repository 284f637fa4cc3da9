#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A log takes no more than the program can spare: an eighth of what is left in the memory group (a log in memory), of the free space of
# its filesystem, a thirty-second of RLIMIT_AS, RLIMIT_FSIZE. Then it is a small log instead of none; ovc stats says so and why; the
# program's refusals are recorded in it, and the program itself lives.
. "$(dirname "$0")/../fixtures/e2e.sh"
export PATH=$build/trust:$PATH
unset OVCSHIM_EVENTS_SIZE OVCSHIM_CALLS_SIZE
mounted=()
on_exit() { ((${#mounted[@]} == 0)) || umount -l "${mounted[@]}"; rm -f "/dev/shm/ovc-size.$$.ovc"; }
wanted=127414272

fact() { ovc stats --json "$1" | jq ".host.$2 // 0"; }
# small NAME LOG MOST BOUND: there is a log of at most MOST bytes, it says what bounded it, and the refusal of the program is in it.
small() {
  local name=$1 log=$2 most=$3 bound=$4 bytes
  [[ -s $log ]] || { cat size.err >&3; fail "$name: no log"; }
  bytes=$(stat -c %s "$log")
  echo "$name: a log of $((bytes / 1024)) kB"
  ((bytes <= most)) || fail "$name: more than $most bytes"
  (($(fact "$log" LogWantedKb) == wanted / 1024 && $(fact "$log" LogGivenKb) == bytes / 1024)) || fail "$name: sizes not told"
  (($(fact "$log" LogBound) == bound)) || fail "$name: bound $(fact "$log" LogBound), not $bound"
  ovc stats "$log" >stats.txt
  finds '^size +[0-9,]+ kB instead of 124,428 kB: ' stats.txt
  ovc why "$log" >why.txt || (($? == 1))
  finds '^mmap of .* bytes refused with ENOMEM' why.txt
}
# --- not bounded: the size asked for, and no word of it
under "$work/whole.ovc" too_much
(($(stat -c %s whole.ovc) == wanted)) || fail "a log of $(stat -c %s whole.ovc) bytes where there is room"
! ovc stats whole.ovc | grep -q '^size ' || fail "says that a log of full size is small"

# --- limits of the process
for kb in 1048576 200000 100000 45000; do
  (ulimit -v $kb && under "$work/as$kb.ovc" too_much) 2>size.err
  small "ulimit -v $kb" as$kb.ovc $((kb * 32)) 5
done
for kb in 40000 4096 1024; do
  (ulimit -f $kb && under "$work/fsize$kb.ovc" too_much) 2>size.err
  small "ulimit -f $kb" fsize$kb.ovc $((kb * 1024)) 6
done
# Under a limit that comes after the log was made by a process without: a second one beside it, which ovc reads with the first.
under "$work/late.ovc" bash -c 'ulimit -v 200000; exec too_much' 2>late.err
[[ ! -s late.err && -s late.uid$EUID.ovc ]] || { cat late.err >&3; fail "no second log under RLIMIT_AS"; }
ovc why late.ovc >why.txt || (($? == 1))
finds '^mmap of .* bytes refused with ENOMEM' why.txt

if ((EUID != 0)) || ! unshare -m true 2>/dev/null; then
  echo "not tested without root: small disks, memory groups"
  exit 0
fi
# --- small filesystems: an eighth of what is free
mkdir there
for mib in 64 16; do
  mount -t tmpfs -o size=${mib}m none there || { echo "not tested: no tmpfs can be mounted"; break; }
  mounted=("$work/there")
  free=$(($(df --output=avail -B1 there | tail -1)))
  under "$work/there/a.ovc" too_much 2>size.err
  small "tmpfs of $mib MiB" there/a.ovc $((free / 8)) 3
  umount there
  mounted=()
done
truncate -s 100M disk
if mkfs.ext4 -q disk >/dev/null 2>&1 && mount -o loop disk there 2>/dev/null; then
  mounted=("$work/there")
  free=$(($(df --output=avail -B1 there | tail -1)))
  under "$work/there/a.ovc" too_much 2>size.err
  small "ext4 of 100 MiB" there/a.ovc $((free / 8)) 3
  umount there
  mounted=()
else
  echo "not tested: ext4 cannot be made or mounted here"
fi

# --- memory groups: the program fills its own memory after the log is made, and lives
for mib in 40 20; do
  status=0
  memcg.sh $((mib << 20)) env LD_PRELOAD="$shim" OVCSHIM_LOG="/dev/shm/ovc-size.$$.ovc" too_much $((mib * 5 / 8)) >memcg.out 2>size.err || status=$?
  ((status != 77)) || { echo "not tested: $(tail -n 1 memcg.out)"; break; }
  ((status == 0)) || { cat memcg.out size.err >&3; fail "a group of $mib MiB, log in /dev/shm: ends with $status"; }
  small "a group of $mib MiB, log in /dev/shm" "/dev/shm/ovc-size.$$.ovc" $((mib << 17)) 1
  rm -f "/dev/shm/ovc-size.$$.ovc"
  # On a disk its pages can be given back.
  status=0
  memcg.sh $((mib << 20)) env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/group$mib.ovc" too_much $((mib * 5 / 8)) >memcg.out 2>size.err || status=$?
  ((status == 0)) || { cat memcg.out size.err >&3; fail "a group of $mib MiB, log on a disk: ends with $status"; }
done
