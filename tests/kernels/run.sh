#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The rules and the verdicts on other kernels: Debian's own, each as a whole machine under QEMU.
#   run.sh [--machine NAME[,NAME...]] [--parts PART[,PART...]] [--set NAME=VALUE] [--write] [KERNEL...]
# KERNEL: bullseye, bookworm, trixie, sid (the small kernels for virtual machines; SUITE-generic: the one for every machine); all four by
# default; or a folder with another one: `release` (what uname -r says) and `unpacked/`, as a package of Debian's has it (boot/vmlinuz*,
# lib/modules). --machine: only these of machines.txt. --parts: these instead of the machine's own. --set: count=N, only=WORD or slice=I/N
# of the situations, seeds=N, thp=never and others of guest/main.sh. --write: puts the table of all results
# that are kept into README.md here; --table: only prints it. Kernels and results are kept in the build folder (kernels/).
# Exit status 1: something was wrong, or a machine did not come to its end. 77: cannot be done here, with the reason.
set -euo pipefail
here=$(realpath "$(dirname "$0")")
source_dir=$(realpath "$here/../..")
build=$(realpath -m "${OVC_BUILD:-$source_dir/build}")
kept=$build/kernels
skip() { echo "skipped: $*"; exit 77; }

machines=() settings=() parts="" write=0 run=1 kernels=()
while (($#)); do
  case $1 in
    --machine) IFS=, read -ra machines <<<"$2"; shift ;;
    --parts) parts=$2; shift ;;
    --set) settings+=("ovc.$2"); shift ;;
    --write) write=1 ;;
    --table) run=0 ;;
    -h | --help) sed -n '3,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "run.sh: no option $1" >&2; exit 2 ;;
    *) kernels+=("$1") ;;
  esac
  shift
done
((${#kernels[@]})) || kernels=(bookworm trixie bullseye sid)

# run_machine KERNEL DIR, then the fields of machines.txt
failed=0 booted=0
run_machine() {
  local kernel=$1 dir=$2 name=$3 cpus=$5 mib=$6 swap=$7 cgroup=$8 mode=$9 thp=${10} parameters=${11} seconds=${12} own=${13}
  # What was run in part stands beside what the whole machine gave, each slice of the situations beside the others.
  local out=$kept/results/$kernel/$name${parts:++}${parts//,/+} status=0 begun=$SECONDS slice
  slice=$(printf '%s\n' "${settings[@]}" | sed -n 's/^ovc.slice=//p')
  out+=${slice:+@${slice//\//of}}
  "$here/boot.sh" "$dir" "$kept/disk" "$out" "$cpus" "$mib" "$swap" "$seconds" ovc.guest="$here/guest/main.sh" ovc.build="$build" \
    ovc.source="$source_dir" ovc.cgroup="$cgroup" ovc.mode="$mode" ovc.thp="$thp" ovc.parts="${parts:-$own}" "${parameters/#-/}" "${settings[@]}" || status=$?
  booted=$((booted + 1))
  echo "$kernel $name: $cpus x $mib MiB, $swap MiB of swap, control groups $cgroup, mode $mode: $((SECONDS - begun)) s"
  grep -a '^ovc-kernel: ' "$out/console" | sed 's/^ovc-kernel: /  /; s/\r$//' | grep -vx '  end' || true
  ((status == 0)) || { failed=1; echo "  did not come to its end:"; tail -n 15 "$out/console"; }
  [[ ! -e $out/parts ]] || awk -F '\t' '$2 != 0 && $2 != 77 { bad = 1; print "  see '"$out"'/" $1 ".log" } END { exit bad }' "$out/parts" || failed=1
}

run_kernel() {
  local kernel=$1 dir fields
  if [[ $kernel == */* ]]; then
    dir=$(realpath "$kernel")
    kernel=${dir##*/}
  else
    dir=$("$here/fetch.sh" "$kernel" "$kept") || { local status=$?; ((status == 77)) && return 0; exit $status; }
  fi
  "$here/initrd.sh" "$dir"
  while read -ra fields; do
    [[ ${#machines[@]} == 0 || " ${machines[*]} " == *" ${fields[0]} "* ]] || continue
    [[ ${fields[1]} == all || ,${fields[1]}, == *,$kernel,* ]] || continue
    run_machine "$kernel" "$dir" "${fields[@]}"
  done < <(grep -v '^#' "$here/machines.txt")
}

if ((run)); then
  [[ -x $build/ovc && -x $build/ovc_tests && -d $build/programs ]] || { echo "run.sh: nothing is built in $build (ovc, ovcshim, ovc_tests, test_programs)" >&2; exit 2; }
  for command in qemu-system-x86_64 busybox cpio mke2fs mkswap depmod dpkg; do
    command -v $command >/dev/null || skip "no $command here (tests/setup.sh kernels)"
  done
  mkdir -p "$kept"
  "$here/image.sh" "$build" "$source_dir" "$kept/disk"
  for kernel in "${kernels[@]}"; do run_kernel "$kernel"; done
  ((booted)) || skip "none of these kernels can be had here"
fi
table=("$here/table.py" "$here/machines.txt" "$kept/results")
if ((write)); then "${table[@]}" "$here/README.md"; elif ((!run)); then "${table[@]}"; fi
exit $failed
