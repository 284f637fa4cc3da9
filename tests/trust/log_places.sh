#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Where the log lies and what becomes of the place while a program runs: full disks, read-only and vanished folders, files that are no
# logs, a log that is removed, programs that share a log, no /proc, another time. The program's output and end are the same, and it
# says one line at most. What tests/e2e/silent.sh has is not repeated.
. "$(dirname "$0")/../fixtures/e2e.sh"
export OVCSHIM_EVENTS_SIZE=1M OVCSHIM_CALLS_SIZE=1M
export PATH=$build/trust:$PATH
folder=$work/folder
mkdir "$folder"
mounted=()
on_exit() { ((${#mounted[@]} == 0)) || umount -l "${mounted[@]}"; }
readable() { ovc stats "$1" >stats.out 2>&1 || (($? == 1)) || { cat stats.out >&3; fail "ovc stats $1"; }; }

# unrecorded NAME LOG: the program says where it could not record, on one line, and is otherwise the same.
ls -l /etc/hostname >plain.out
unrecorded() {
  : >got.err  # appended to: into any other file the shim says nothing
  timeout 20 env LD_PRELOAD="$shim" OVCSHIM_LOG="$2" ls -l /etc/hostname >got.out 2>>got.err || fail "$1: exit status $?"
  same plain.out got.out "$1: output"
  (($(wc -l <got.err) == 1)) || { cat got.err >&3; fail "$1: not one line"; }
  finds '^ovcshim: .*; this program runs unrecorded$' got.err
}

# while_it_runs NAME LOG COMMAND...: the command runs while the program waits for a line of ours.
echo go | log_user >used.out
while_it_runs() {
  local name=$1 log=$2 status=0 line
  shift 2
  coproc user { exec env LD_PRELOAD="$shim" OVCSHIM_LOG="$log" log_user 2>"$work/user.err"; }
  # shellcheck disable=SC2154  # coproc sets it
  local pid=$user_PID from=${user[0]}
  exec 7<&"$from" 8>&"${user[1]}"
  read -r line <&7
  [[ $line == ready ]] || fail "$name: did not start"
  "$@" || fail "$name: $*"
  echo go >&8
  exec 8>&-
  { echo ready; cat <&7; } >got.out
  exec 7<&-
  wait "$pid" || status=$?
  ((status == 0)) || fail "$name: exit status $status"
  same used.out got.out "$name: output"
  [[ ! -s user.err ]] || { cat user.err >&3; fail "$name: messages"; }
}

# --- what is already there under the log's name; nothing of it is touched
kept() { same before "$1" "$1 was written to"; }
echo "somebody's data" >before
cp before text.ovc; unrecorded "a text" "$work/text.ovc"; kept text.ovc
: >empty.ovc; unrecorded "an empty file" "$work/empty.ovc"; [[ ! -s empty.ovc ]] || fail "empty.ovc was written to"
mkfifo fifo.ovc; unrecorded "a FIFO" "$work/fifo.ovc"; [[ -p fifo.ovc ]] || fail "fifo.ovc is gone"
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket.ovc")'
unrecorded "a socket" "$work/socket.ovc"
ln -s before link.ovc; unrecorded "a symbolic link" "$work/link.ovc"; [[ $(cat before) == "somebody's data" ]] || fail "before was written to"
ln -s nothing dangling.ovc; unrecorded "a dangling link" "$work/dangling.ovc"; [[ ! -e nothing ]] || fail "a link was followed"
under "$work/good.ovc" true
cp good.ovc good.before
ln -s good.ovc togood.ovc; unrecorded "a link to a log" "$work/togood.ovc"; same good.before good.ovc "a log behind a link was written to"
rm good.ovc togood.ovc
unrecorded "/dev/null" /dev/null
unrecorded "/dev/full" /dev/full
unrecorded "a file of /proc, which cannot be mapped" /proc/self/comm
unrecorded "a file of /sys" /sys/kernel/mm/transparent_hugepage/enabled
unrecorded "a name that is too long" "$work/$(printf '%0300d' 1)"
[[ $(find "$work" -name '*.ovc*' | wc -l) == 6 ]] || { ls >&3; fail "left over"; }

# --- a folder that vanishes, a log that vanishes
mkdir gone
: >got.err
(cd gone && rmdir "$work/gone" && exec env LD_PRELOAD="$shim" OVCSHIM_LOG=a.ovc ls -l /etc/hostname >"$work/got.out" 2>>"$work/got.err") ||
  fail "vanished folder: exit status $?"
same plain.out got.out "vanished folder: output"
finds '^ovcshim: .*; this program runs unrecorded$' got.err
mkdir going
while_it_runs "the log is removed" "$work/removed.ovc" rm removed.ovc
while_it_runs "the log's folder is removed" "$work/going/a.ovc" rm -r going
while_it_runs "the log is renamed" "$work/renamed.ovc" mv renamed.ovc other.ovc
readable other.ovc

# --- several trees at one log, at the same moment
for i in 1 2 3 4 5 6; do
  (under "$work/shared.ovc" log_user <<<go >"shared$i.out" 2>"shared$i.err" || echo "ends with $?" >>"shared$i.err") &
done
wait
for i in 1 2 3 4 5 6; do
  same used.out "shared$i.out" "tree $i of one log"
  [[ ! -s shared$i.err ]] || { cat "shared$i.err" >&3; fail "tree $i of one log: messages"; }
done
readable shared.ovc
trees=$(ovc stats --json shared.ovc | jq '[.processes[] | select(.comm == "log_user")] | length')
((trees >= 6)) || fail "$trees programs in the shared log"

# --- a log that another program is just making: its creator loses its processor before the file has any size
if command -v strace >/dev/null && strace -o /dev/null -e inject=getuid:delay_enter=1 true 2>/dev/null; then
  strace -f -qq -o /dev/null -e trace=fallocate -e inject=fallocate:delay_enter=200000 -E LD_PRELOAD="$shim" -E OVCSHIM_LOG="$work/making.ovc" ls -l /etc/hostname >making.out &
  until [[ -e making.ovc ]]; do :; done
  [[ ! -s making.ovc ]] || fail "the creator did not wait"
  under "$work/making.ovc" ls -l /etc/hostname >got.out 2>got.err || fail "a log in the making: exit status $?"
  wait $!
  same plain.out making.out "creator of the log"
  same plain.out got.out "a log in the making: output"
  [[ ! -s got.err ]] || { cat got.err >&3; fail "a log in the making: messages"; }
  [[ $(ovc stats --json making.ovc | jq '[.processes[] | select(.comm == "ls")] | length') == 2 ]] || fail "a log in the making: not both are in it"
fi

if ((EUID != 0)) || ! unshare -m true 2>/dev/null; then
  echo "not tested without root: full disks, read-only folders, no /proc, other times"
  exit 0
fi

# --- disks
fill() {
  local size
  for size in 64K 4K; do dd if=/dev/zero of="$1/rest.$size" bs=$size status=none 2>/dev/null || true; sync -f "$1"; done
}
full_while_it_runs() {
  mounted+=("$folder")
  while_it_runs "$1 fills up" "$folder/a.ovc" fill "$folder"
  [[ $(df --output=avail "$folder" | tail -1) -lt 512 ]] || fail "$1 did not fill up: $(df --output=avail "$folder" | tail -1) kB"
  readable "$folder/a.ovc"
  unrecorded "a full $1" "$folder/b.ovc"
  [[ ! -e $folder/b.ovc ]] || fail "$1: b.ovc is left over"
  umount "$folder"
  mounted=()
}
if mount -t tmpfs -o size=24m none "$folder" 2>/dev/null; then full_while_it_runs tmpfs; else echo "not tested: no tmpfs can be mounted"; fi
# A full btrfs would end or all but stop the program: no log is made there, and none joined that came there.
for kind in ext4 xfs btrfs; do
  size=$([[ $kind == ext4 ]] && echo 48M || echo 400M)
  truncate -s "$size" disk
  if command -v mkfs.$kind >/dev/null && mkfs.$kind -q disk >/dev/null 2>&1 && mount -o loop disk "$folder" 2>/dev/null; then
    if [[ $kind == btrfs ]]; then
      mounted=("$folder")
      unrecorded btrfs "$folder/a.ovc"
      [[ ! -e $folder/a.ovc ]] || fail "btrfs: a.ovc is left over"
      cp --sparse=never other.ovc "$folder/moved.ovc"
      unrecorded "a log moved to btrfs" "$folder/moved.ovc"
      same other.ovc "$folder/moved.ovc" "a log on btrfs was written to"
      umount "$folder"
      mounted=()
    else
      full_while_it_runs $kind
    fi
  else
    echo "not tested: $kind cannot be made or mounted here"
  fi
  rm disk
done

# --- a filesystem without shared mappings, and the same with them
if command -v bindfs >/dev/null && [[ -c /dev/fuse ]]; then
  mkdir there
  for option in direct_io rw; do
    if ! bindfs -o $option there "$folder" 2>bindfs.err; then
      echo "not tested: FUSE ($(tail -n 1 bindfs.err))"
      break
    fi
    mounted=("$folder")
    if [[ $option == direct_io ]] && ! python3 -c 'import mmap, sys; f = open(sys.argv[1], "w+b"); f.truncate(4096); mmap.mmap(f.fileno(), 4096)' "$folder/file" 2>/dev/null; then
      unrecorded "a filesystem without shared mappings" "$folder/a.ovc"
      [[ ! -e there/a.ovc ]] || fail "without shared mappings: a.ovc is left over"
    else
      while_it_runs "FUSE, $option" "$folder/b.ovc" true
      readable there/b.ovc
    fi
    umount "$folder"
    mounted=()
  done
else
  echo "not tested: FUSE (no bindfs, or no /dev/fuse)"
fi

mount -t tmpfs -o size=6m none "$folder" && mounted=("$folder")
mount -o remount,ro "$folder"
unrecorded "a read-only folder" "$folder/a.ovc"
umount "$folder"
mounted=()

# --- no /proc: what is read there is unknown, nothing else changes
bare() { unshare -m bash -c 'mount -t tmpfs none /proc && exec "$@"' bash "$@"; }
bare log_user <<<go >bare.out
same used.out bare.out "log_user without /proc"
bare env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/bare.ovc" log_user <<<go >got.out 2>got.err || fail "no /proc: exit status $?"
same bare.out got.out "no /proc: output"
[[ ! -s got.err ]] || { cat got.err >&3; fail "no /proc: messages"; }
readable bare.ovc

# --- a child in another time: its monotonic clock is a million seconds ahead
if unshare -T --monotonic 1000000 true 2>/dev/null; then
  under "$work/time.ovc" sh -c 'echo go | log_user; echo go | unshare -T --monotonic 1000000 log_user' >got.out 2>got.err || fail "other time: exit status $?"
  same <(cat used.out used.out) got.out "other time: output"
  [[ ! -s got.err ]] || { cat got.err >&3; fail "other time: messages"; }
  readable time.ovc
else
  echo "not tested: no time namespaces here"
fi
