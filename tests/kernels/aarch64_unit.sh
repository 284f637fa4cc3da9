# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2154,SC2034  # kept, cross, guest, source_dir, unit_targets: aarch64.sh
# The whole unit tests in the guest (guest/aarch64_init). To be sourced by aarch64.sh.
#   unit_into_guest    the program of the unit tests, and what they run and read, lie in the guest's root under the paths they have here
#   unit_judged        and what came of them
unit_targets=(ovc_tests ovc programs_random_mappings)

unit_into_guest() {
  local file table=$source_dir/tests/trust/faults/calls.table
  for file in ovc_tests ovc; do "$kept/toolchain/bin/aarch64-linux-gnu-strip" -g -o "$guest/root$cross/$file" "$cross/$file"; done
  cp "$cross/programs/random_mappings" "$guest/root$cross/programs"
  with_libraries "$cross/ovc_tests"
  mkdir -p "$guest/root${table%/*}"
  cp "$table" "$guest/root$table"
}

unit_judged() {
  tail -n 3 unit
  [[ $(<unit.status) == 0 ]] || { grep -aE -B 30 'FAILED:' unit | tail -n 300 >&3; fail "unit tests there: status $(<unit.status)"; }
  finds '^All tests passed \([0-9]+ assertions in [0-9]+ test cases\)$' unit
}
