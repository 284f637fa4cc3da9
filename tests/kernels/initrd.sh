#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# initrd.sh KERNEL [BUSYBOX]: an initial file system with busybox and the modules that the guest's disks need, beside the unpacked kernel.
set -euo pipefail
kernel=$1
here=$(realpath "$(dirname "$0")")
[[ ! $kernel/initrd -nt $here/guest/init ]] || exit 0
release=$(<"$kernel/release")
root=$(mktemp -d "${TMPDIR:-/var/tmp}/ovc-initrd.XXXXXX")
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{bin,modules,proc,sys,dev,new}
busybox=${2-$(realpath "$(command -v busybox)")}
cp "$busybox" "$root/bin/busybox"
# Where it is not the static one.
{ ldd "$busybox" 2>/dev/null || true; } | grep -oE '/[^ ]+\.so[^ ]*' | while read -r library; do
  mkdir -p "$root${library%/*}"
  cp -L "$library" "$root$library"
done || true
cp "$here/guest/init" "$root/init"
: >"$root/modules/order"
# What is built in has no file; several need the same one.
for module in virtio_pci virtio_blk ext4; do
  modprobe -d "$kernel/unpacked" -S "$release" --show-depends $module | while read -r how path _; do
    name=$(basename "${path%.[xgz]*z*}")
    name=${name%.ko*}.ko
    [[ $how == insmod && ! -e $root/modules/$name ]] || continue
    case $path in
      *.xz) xz -dc "$path" ;;
      *.zst) zstd -qdc "$path" ;;
      *) cat "$path" ;;
    esac >"$root/modules/$name"
    echo "$name" >>"$root/modules/order"
  done
done
(cd "$root" && find . | cpio -o -H newc --quiet) >"$kernel/initrd"
