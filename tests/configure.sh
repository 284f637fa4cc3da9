#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# configure.sh BUILD_DIRECTORY [CMAKE OPTION...]: as cmake -B, with Ninja where it is installed and the directory is new.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: configure.sh BUILD_DIRECTORY [CMAKE OPTION...]}
generator=()
[[ -e $build/CMakeCache.txt ]] || ! command -v ninja >/dev/null || generator=(-G Ninja)
cmake -S . -B "$build" "${generator[@]}" "${@:2}"
