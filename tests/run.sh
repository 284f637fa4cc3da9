#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is missing, builds into build/, runs every test. Arguments go to ctest: tests/run.sh -R e2e
set -euo pipefail
cd "$(dirname "$0")/.."
tests/setup.sh tests
tests/configure.sh build -DCMAKE_BUILD_TYPE=Release -DOVC_TESTS=ON
cmake --build build -j"$(nproc)"
exec ctest --test-dir build --output-on-failure -j"$(nproc)" "$@"
