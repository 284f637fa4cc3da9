#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Do the two commands work on a machine with nothing but git? In a fresh Debian (debootstrap minbase) under a chroot, from
# the clone to the result:   tests/bare_machine.sh [--worktree] [--suite NAME] [FOLDER] [-- CTEST-ARGUMENT...]
# --worktree takes the files as they are instead of the last commit; --suite is bookworm (Debian 12) or trixie (Debian 13). Takes most
# of an hour, less if the arguments choose some of the tests; needs root, debootstrap and Debian's mirror as this machine is set up for
# it. FOLDER (/var/tmp/ovc-chroot) is made anew.
set -euo pipefail
cd "$(dirname "$0")/.."
what=clone suite=bookworm
while [[ ${1-} == --?* ]]; do
  case $1 in
    --worktree) what=worktree ;;
    --suite) suite=$2; shift ;;
    *) echo "unknown option: $1" >&2; exit 2 ;;
  esac
  shift
done
root=/var/tmp/ovc-chroot
if (($#)) && [[ $1 != -- ]]; then root=$1; shift; fi
tests=("${@:2}")
lock=/tmp/ovcshim-overcommit.lock
if ((EUID != 0)) || ! command -v debootstrap >/dev/null; then
  echo "skipped: needs root and debootstrap"
  exit 77
fi

unmount() { for there in "$root$lock" "$root$lock.queue" "$root/dev/shm" "$root/dev/pts" "$root/proc" "$root"; do ! mountpoint -q "$there" || umount "$there"; done; }
trap unmount EXIT
unmount
rm -rf --one-file-system "$root"

# Same mirror, proxy and other settings of apt as on this machine; a mirror has all suites.
mirror=$(apt-get indextargets --format "\$(SITE) \$(RELEASE)" | awk '$2 ~ /^(bookworm|trixie)$/ { print $1; exit }')
debootstrap --variant=minbase --include=git,ca-certificates "$suite" "$root" "${mirror:?no mirror of Debian in /etc/apt}" >"$root.log" 2>&1 ||
  { tail "$root.log"; exit 1; }
{ grep -rlE '^ *Acquire' /etc/apt/apt.conf.d || true; } | xargs -r cp -t "$root/etc/apt/apt.conf.d/"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
mount --bind "$root" "$root"  # a mount point as the root of any machine, so that namespaces of mounts can be made
mount --make-private "$root"
mount -t proc proc "$root/proc"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"  # as any machine has
mkdir -p "$root/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -sf pts/ptmx "$root/dev/ptmx"
# What keeps users of the machine-wide settings apart.
for file in "$lock" "$lock.queue"; do touch "$file" "$root$file"; mount --bind "$file" "$root$file"; done

if [[ $what == clone ]]; then
  git clone -q --no-hardlinks . "$root/root/ovcshim"
else
  mkdir "$root/root/ovcshim"
  git ls-files -z -co --exclude-standard | tar -c --null --ignore-failed-read -T - | tar -x -C "$root/root/ovcshim"
fi
run() {
  echo "==== $*"
  chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin bash -c "cd /root/ovcshim && $*"
}
run ./examples/demo.sh
run ./tests/run.sh "${tests[*]@Q}"
