#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# clang-tidy over everything that the build directory given compiles in shim/ and tools/.
set -euo pipefail
build=${1:?usage: tidy.sh BUILD_DIRECTORY}
cd "$(dirname "$0")/../.."
run=$(command -v run-clang-tidy-14 || command -v run-clang-tidy) || { echo "skipped: no run-clang-tidy"; exit 77; }
# The code is compiled by g++; clang knows some of its warnings and flags under other names, or not at all.
"$run" -quiet -p "$build" -extra-arg=-Wno-unknown-warning-option -extra-arg=-Wno-ignored-optimization-argument \
  "^$PWD/(shim|tools)/.*\.cc$" 2>&1 | grep -vE '^([0-9]+ warnings? (generated|treated)|clang-tidy.* -p=|Suppressed |Use -header-filter)' || true
exit "${PIPESTATUS[0]}"
