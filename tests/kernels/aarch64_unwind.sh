# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2154,SC2034  # kept, cross, guest, here, source_dir, work, unwind_targets: aarch64.sh
# The shim's unwinder held against libunwind's in the guest (guest/aarch64_unwind.sh). To be sourced by aarch64.sh, behind aarch64_ovc.sh.
#   unwind_into_guest  the oracle, and programs to walk in
#   unwind_judged      and what came of it
unwind_targets=(unwind_oracle programs_strange_stacks)

unwind_into_guest() {
  local source=$source_dir/tests/programs/strange_stacks.c compiler=$kept/toolchain/bin/aarch64-linux-gnu-gcc python=$kept/toolchain/root/usr
  mkdir -p "$guest/root$cross/trust" "$guest/root/usr/lib" "$guest/root/bin"
  cp "$here/guest/aarch64_unwind.sh" "$guest/root/unwind.sh"
  "$kept/toolchain/bin/aarch64-linux-gnu-strip" -g -o "$guest/root$cross/trust/unwind_oracle" "$cross/trust/unwind_oracle"
  with_libraries "$cross/trust/unwind_oracle"
  cp "$cross/programs/strange_stacks" "$guest/root$cross/programs"
  # As Debian 13 compiles: each return address is signed. Without the word for that in the tables, which libunwind before 1.7 cannot read.
  { "$compiler" --sysroot="$kept/toolchain/root" -O2 -mbranch-protection=standard -I"$source_dir" -S -o "$work/signed.s" "$source" &&
    sed -i '/cfi_negate_ra_state\|cfi_window_save/d' "$work/signed.s" &&
    "$compiler" --sysroot="$kept/toolchain/root" -o "$guest/root$cross/trust/signed_stacks" "$work/signed.s" &&
    "$compiler" -specs="$kept/musl/specs" -O2 -g -Wl,--eh-frame-hdr -I"$source_dir" -o "$guest/root$cross/musl/strange_stacks" "$source"; } \
    >"$work/quiet" 2>&1 || { cat "$work/quiet" >&3; fail "strange_stacks.c"; }
  package_into_guest redis redis-server redis-server redis-cli redis-benchmark
  package_into_guest openssl openssl openssl
  cp "$python/bin/python3.11" "$guest/root/bin/python3"
  with_libraries "$guest/root/bin/python3"
  cp -r "$python/lib/python3.11" "$guest/root/usr/lib"
}

# How many in 100 of a program's states the shim may give up earlier in; README.md says why.
declare -A may_end_earlier=([stacks]=15 [signed]=15 [musl]=100 [threads]=1 [redis]=1 [python]=1 [crypto]=100)
unwind_judged() {
  local name said earlier
  for name in stacks signed musl threads redis python crypto; do
    said=$(<"unwind.$name")
    echo "$name: $said"
    [[ $(<"unwind.$name.status") == 0 ]] || fail "$name: contradicted, or too few states"
    earlier=$(sed -nE 's/.* ([0-9]+) shim earlier.*/\1/p' <<<"$said")
    ((earlier * 100 <= states * may_end_earlier[$name])) ||
      fail "$name: the shim ends earlier in $earlier of $states states, more than ${may_end_earlier[$name]} %"
  done
  [[ $(<threads.status) == 0 ]] || { cat threads.out >&3; fail "many_threads noticed"; }
}
