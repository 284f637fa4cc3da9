#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A build for aarch64 on another machine: build.sh DIR [-DNAME=VALUE...] [TARGET...]; the compiler in DIR/toolchain, the build in
# DIR/build. Targets as those of the native build, `ovc ovcshim` if none is named; ovc is static: it is to run elsewhere. Exit status 77:
# cannot be had here, with the reason.
set -euo pipefail
here=$(realpath "$(dirname "$0")")
dir=$(realpath -m "${1:?usage: build.sh DIR [-DNAME=VALUE...] [TARGET...]}")
shift
settings=(-DOVC_STATIC=ON)
while [[ ${1-} == -D* ]]; do settings+=("$1") && shift; done
(($#)) || set -- ovc ovcshim
"$here/toolchain.sh" "$dir/toolchain"
generator=()
if command -v ninja >/dev/null; then generator=(-G Ninja); fi
launchers=()
if command -v ccache >/dev/null; then launchers=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
cmake -S "$here/../.." -B "$dir/build" "${generator[@]}" "${launchers[@]}" -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_TOOLCHAIN_FILE="$here/aarch64.cmake" -DOVC_CROSS="$dir/toolchain" "${settings[@]}" >"$dir/configure.log" 2>&1 ||
  { cat "$dir/configure.log" >&2; exit 1; }
cmake --build "$dir/build" -j "$(nproc)" --target "$@" >"$dir/build.log" 2>&1 || { tail -n 40 "$dir/build.log" >&2; exit 1; }
