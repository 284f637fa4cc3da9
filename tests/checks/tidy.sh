#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# clang-tidy over shim/ and tools/, as the build directory given compiles them.
set -euo pipefail
build=$(realpath "${1:?usage: tidy.sh BUILD_DIRECTORY}")
cd "$(dirname "$0")/../.."
run=$(command -v run-clang-tidy-14 || command -v run-clang-tidy) || { echo "skipped: no run-clang-tidy"; exit 77; }

# Each file once, without the flags that only g++ knows or that clang's headers cannot bear.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
check() {
  mkdir "$work/$1"
  jq --arg part "^$PWD/$1/[^/]*/[^/]*\\.cc$" '[.[] | select(.file | test($part))] | unique_by(.file) |
    map(.command |= gsub(" -(mgeneral-regs-only|fno-tree-loop-distribute-patterns|Wno-error=[a-z-]+)"; ""))' "$build/compile_commands.json" \
    >"$work/$1/compile_commands.json"
  "$run" -quiet -p "$work/$1" -checks="${2-}" >"$work/$1/out" 2>"$work/$1/err" && return
  sed -e 's/\x1b\[[0-9;]*m//g' "$work/$1/out" | grep -v '^clang-tidy' || true
  return 1
}
# The analyzer does not see what a system call in inline assembly writes, so there is nothing uninitialized about it.
status=0
check shim '-clang-analyzer-core.uninitialized.*,-clang-analyzer-core.UndefinedBinaryOperatorResult,-clang-analyzer-core.CallAndMessage' || status=1
check tools || status=1
exit $status
