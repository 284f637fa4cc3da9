#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# One machine from start to end: boot.sh KERNEL_DIR DISK OUT CPUS MIB SWAP_MIB SECONDS PARAMETER...; DISK `-`: it has none.
# What came of it is left in OUT: console, parts (a line each), a log for each part. Status 1: it did not come to its end.
set -euo pipefail
kernel=$1 disk=$2 out=$(realpath -m "$3") cpus=$4 mib=$5 swap_mib=$6 seconds=$7
shift 7
rm -rf "$out"
mkdir -p "$out"
cp "$kernel/release" "$out/release"
image=$(find "$kernel/unpacked/" -name 'vmlinuz*' -type f -print -quit)
truncate -s 256M "$out/results.tar"
drives=(-drive "file=$out/results.tar,format=raw,if=virtio")
[[ $disk == - ]] || drives=(-drive "file=$disk,format=raw,if=virtio,snapshot=on" "${drives[@]}")
if ((swap_mib)); then
  truncate -s "${swap_mib}M" "$out/swap"
  mkswap -q "$out/swap"
  drives+=(-drive "file=$out/swap,format=raw,if=virtio")
  set -- "$@" ovc.swap=1
fi
case $(cat "$kernel/architecture" 2>/dev/null) in  # kernels fetched before there were two have no such file
  arm64)  # signing pointers by the algorithm of its own takes QEMU half the time
    qemu=(qemu-system-aarch64 -M virt -cpu "${OVC_KERNEL_CPU:-max,pauth-impdef=on}")
    console=console=ttyAMA0 ;;
  *)
    qemu=(qemu-system-x86_64 -cpu "${OVC_KERNEL_CPU:-max}")
    console="console=ttyS0 no_timer_check tsc=reliable" ;;
esac
# No KVM: machines that run tests seldom have it.
machine() {
  TMPDIR=$out timeout -k 5 "$seconds" nice -n 5 "${qemu[@]}" -accel tcg,thread=multi -m "${mib}M" \
    -smp "$cpus" -nographic -no-reboot -nic none -monitor none -serial stdio -kernel "$image" -initrd "$kernel/initrd" "${drives[@]}" \
    -append "$console quiet panic=-1 mitigations=off nokaslr $*" </dev/null >"$out/console" 2>&1
}
# While another test has set vm.overcommit_memory=2 here there may be no memory for a machine: its lock is waited for.
for _ in {1..10}; do
  status=0
  machine "$@" || status=$?
  grep -aq 'cannot set up guest memory' "$out/console" || break
  flock -w 600 "${OVC_OVERCOMMIT_LOCK:-/tmp/ovcshim-overcommit.lock}" true || true
done
tar -C "$out" -xf "$out/results.tar" 2>/dev/null || true
rm -f "$out/results.tar" "$out/swap"
grep -aq '^ovc-kernel: end' "$out/console" || { ((status != 124)) || echo "more than $seconds s" >>"$out/console"; exit 1; }
