#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The smallest machine for aarch64: the shim, cross-built, records programs there under Debian's kernel; `ovc` of this machine reads
# the logs.
#   aarch64.sh [--tests] [--unit] [--ovc] [--unwind] [--states N] [--write] [SUITE[-16k]]
# --tests: and the unit tests that ask the machine itself, which are longer to build; --unit: all unit tests, half an hour to build (aarch64_unit.sh);
# --ovc: two CPUs, and ovc itself there, from the tarball, and Debian's redis-server (aarch64_ovc.sh); --write: the figures into README.md.
# --unwind: the shim's unwinder against libunwind's in N states of each of seven programs, 400 by default (aarch64_unwind.sh).
# SUITE: of the kernel, bookworm by default; -16k: with pages of 16 kB
. "$(dirname "$0")/../fixtures/e2e.sh"
here=$source_dir/tests/kernels
. "$here/aarch64_ovc.sh"
. "$here/aarch64_attach.sh"
. "$here/aarch64_musl.sh"
. "$here/aarch64_unit.sh"
. "$here/aarch64_unwind.sh"
tests=() units=() oracle=() with_ovc=0 write=0 mib=512 suite=bookworm longest=400 states=400
while (($#)); do
  case $1 in
    --tests) tests=(machine_tests) ;;
    --unit) units=("${unit_targets[@]}") mib=2048 longest=7200 ;;
    --ovc) with_ovc=1 mib=$((mib < 1024 ? 1024 : mib)) ;;
    --unwind) oracle=("${unwind_targets[@]}") mib=$((mib < 1024 ? 1024 : mib)) ;;
    --states) states=$2; shift ;;
    --write) write=1 ;;
    *) suite=$1 ;;
  esac
  shift
done
for command in qemu-system-aarch64 cpio depmod dpkg cmake; do
  command -v $command >/dev/null || skip "no $command here (tests/setup.sh kernels)"
done
kept=$build/kernels/aarch64
cross=$kept/build
mkdir -p "$kept"
# quietly CMD...: a reason to skip is its last line; so is a mirror or a machine that takes too long
quietly() {
  local status=0
  timeout -k 5 "$longest" "$@" >"$work/quiet" 2>&1 || status=$?
  ((status != 124)) || skip "not ready after $longest s: $1"
  ((status != 77)) || skip "$(tail -n 1 "$work/quiet" | sed 's/^skipped: //')"
  ((status == 0)) || { cat "$work/quiet" >&3; fail "$*"; }
}
settings=()
[[ ! -x $build/make_docs ]] || settings=(-DOVC_MAKE_DOCS="$build/make_docs")
quietly "$source_dir/tests/cross/build.sh" "$kept" "${settings[@]}" ovcshim programs_{process_calls,site_registers,many_threads} examples_fork_once examples_malloc_1tb examples_fork_doubles "${tests[@]}" "${units[@]}" "${oracle[@]}"
quietly "$here/fetch.sh" "$suite-arm64" "$build/kernels"
kernel=$build/kernels/$suite-arm64
"$here/initrd.sh" "$kernel" "$kept/toolchain/root/bin/busybox"

# No disk: the programs lie in the initial file system, under the paths they have here, by which ovc finds their names.
guest=$work/guest
library=lib/aarch64-linux-gnu
mkdir -p "$guest/root$cross"/{programs,examples} "$guest/root/$library"
ln -s "$kernel/unpacked" "$guest/unpacked"
cp "$kernel/release" "$kernel/architecture" "$guest"
cp "$here/guest/aarch64_init" "$guest/root/init"
cp "$cross/libovcshim.so" "$guest/root$cross"
cp "$cross"/programs/{process_calls,site_registers,many_threads} "$guest/root$cross/programs"
cp "$cross"/examples/{fork_once,malloc_1tb,fork_doubles} "$guest/root$cross/examples"
cp -L "$kept/toolchain/root/lib/ld-linux-aarch64.so.1" "$guest/root/lib"
# with_libraries FILE [ROOT]: what it loads is there, from the compiler's root or from ROOT
with_libraries() {
  local name
  for name in $("$kept/toolchain/bin/aarch64-linux-gnu-readelf" -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
    [[ ! -e $guest/root/$library/$name ]] || continue
    cp -L "$(find "$kept/toolchain/root" ${2:+"$2"} -path "*/$library/$name" -print -quit)" "$guest/root/$library"
    with_libraries "$guest/root/$library/$name" "${2-}"
  done
}
with_libraries "$cross/programs/process_calls"
((${#tests[@]} == 0)) || { cp "$cross/machine_tests" "$guest/root$cross" && with_libraries "$cross/machine_tests"; }
musl_into_guest
((${#units[@]} == 0)) || unit_into_guest
((!with_ovc)) || ovc_into_guest
((${#oracle[@]} == 0)) || unwind_into_guest
(cd "$guest/root" && find . | cpio -o -H newc --quiet) | cat "$kernel/initrd" - >"$guest/initrd"
result=$build/kernels/results/$suite-arm64/aarch64${tests:++tests}
((${#units[@]} == 0)) || result+=+unit
((!with_ovc)) || result+=+ovc
((${#oracle[@]} == 0)) || result+=+unwind
"$here/boot.sh" "$guest" - "$result" $((1 + (with_ovc || ${#oracle[@]}))) $mib 0 $((500 + 600 * with_ovc + 3000 * !!${#units[@]} + 2 * states * !!${#oracle[@]})) \
  ovc.build="$cross" ovc.states="$states" || { tail -n 30 "$result/console" >&3; fail "the machine did not come to its end"; }
grep -a '^ovc-kernel: ' "$result/console" | tr -d '\r'
cd "$result"

[[ ! -e parts ]] || awk '$6 != 0 { exit 1 }' parts || { cat parts rules.* unwind >&3; fail "unit tests there"; }

((${#units[@]} == 0)) || unit_judged
((${#oracle[@]} == 0)) || unwind_judged

# No program noticed the shim; each call is counted as on this machine.
grep -q ok process_calls.alone || { cat process_calls.alone >&3; fail "process_calls did not run"; }
same process_calls.alone process_calls.with "what process_calls prints"
finds '^aarch64|Linux .* aarch64' <(tr -d '\r' <console)
under "$work/here.ovc" process_calls >/dev/null
grep -qx 'munmap ok' site_registers.alone || { cat site_registers.alone >&3; fail "site_registers did not run"; }
same site_registers.alone site_registers.with "registers behind a system call of libc"
# Past the wrapper: seen at the system call inside libc, whose function keeps its return address in x30 alone.
ovc show --op munmap site_registers.ovc >told
finds '^.* munmap\(0x[0-9a-f]+, 4096\) = 0 .*<- call_filled\+' told
ovc show site_registers.ovc >told
heap=$(sed -nE 's/.*libc: brk\(NULL\) = 0x([0-9a-f]+)000 .*/\1/p' told | head -n 1)
finds "malloc\(40\) = 0x${heap:?}[0-9a-f]{3,4} " told  # above 2^47 in most kernels: the address is whole
counts() {
  ovc stats --json "$1" | jq -c '[.processes[] | select(.comm == "process_calls").totals.calls | to_entries[] |
    select(.key | test("fork|clone|spawn|pthread_create|wait|popen|system")) | {key, value: .value.calls}] |
    group_by(.key) | map({key: .[0].key, value: (map(.value) | add)}) | from_entries'
}
counts process_calls.ovc >there
counts "$work/here.ovc" >here
same here there "calls counted here and on aarch64"
finds 'in libc +system calls that libc makes itself are recorded$' <(ovc stats process_calls.ovc)
exits 1 ovc why malloc_1tb.ovc >told
finds '^malloc of 1,099,511,627,776 bytes refused with ENOMEM' told
# A fork refused for want of 8 MiB, as the guest found out by halves; told to what the kernel's own counter is exact to.
# refused_by_8_mib LOG ASKED
refused_by_8_mib() {
  local short exact
  exits 1 ovc why --json "$1" >why.json
  jq -e '.verdicts | length == 1 and (.[0] | .op == "fork" and .errno == "ENOMEM" and .cause == "commit-limit")' why.json >/dev/null ||
    { cat why.json >&3; fail "the verdict"; }
  ovc why "$1" >told || true
  cat told
  finds 'asked by +main( <- |$)' told
  read -r short exact < <(sed -n 's/^ *short by *\([0-9,]*\) kB *(.* off by \([0-9,]*\)).*/\1 \2/p' told | tr -d ,)
  ((short >= 8192 - exact && short <= 8192 + exact)) || fail "short by $short kB, not 8,192 (give or take $exact)"
}
refused_by_8_mib refused.ovc 'main <- '
musl_judged
((!with_ovc)) || ovc_judged
if ((write)); then "$here/table.py" "$here/machines.txt" "$build/kernels/results" "$here/README.md" aarch64; fi
