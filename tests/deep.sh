#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The slower checks, each in a build directory of its own: clang-tidy, the unit tests under sanitizers, and more of the failing
# situations that ovc why is judged by, others every day.
#   deep.sh [asan] [tsan] [tidy] [cases]      default: all, in this order; stops at the first that fails
set -euo pipefail
cd "$(dirname "$0")/.."
tests/setup.sh ci
sanitized() {  # NAME SANITIZERS
  tests/configure.sh "build-$1" -DCMAKE_BUILD_TYPE=Debug -DOVC_SANITIZE="$2" >/dev/null
  cmake --build "build-$1" -j"$(nproc)"
  ctest --test-dir "build-$1" -L unit --output-on-failure -j"$(nproc)"
}
checks=("$@")
((${#checks[@]})) || checks=(asan tsan tidy cases)
for check in "${checks[@]}"; do
  printf '\n==== %s (%d s)\n' "$check" "$SECONDS"
  case $check in
    asan) sanitized asan address,undefined ;;
    tsan) TSAN_OPTIONS=suppressions=$PWD/tests/trust/races.supp sanitized tsan thread ;;
    tidy) tests/configure.sh build-tidy -DOVC_UNITY=OFF >/dev/null && cmake --build build-tidy --target tidy ;;
    cases)
      tests/configure.sh build-cases >/dev/null
      cmake --build build-cases -j"$(nproc)"
      OVC_BUILD=build-cases tests/cases/run.sh --seed "$(date +%Y%j)" --count 1600
      ;;
    *) echo "deep.sh: no check named $check" >&2; exit 2 ;;
  esac
done
