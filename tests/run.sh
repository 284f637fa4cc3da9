#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is missing, builds into build/ what the tests need, runs them.
#   run.sh [quick] [CTEST ARGUMENT...]
# quick: unit tests, checks and end-to-end tests, without servers, hostile surroundings, trust and what takes long (label slow).
# Other arguments go to ctest, and only what the chosen tests need is built: run.sh -R e2e.follow
set -euo pipefail
cd "$(dirname "$0")/.."
build=build
what="all tests, about 15 minutes on 2 cores after the build (3 minutes the first time)"
arguments=("$@")
if [[ ${1-} == quick ]]; then
  what="unit tests, checks and end-to-end tests, a few minutes on 2 cores after the build (3 minutes the first time)"
  arguments=(-L '^(unit|check|e2e)$' -LE '^slow$' "${@:2}")
elif (($#)); then
  what="ctest $*"
fi
cat <<EOF
tests/run.sh: $what
  1. installs Debian packages that are missing (tests/setup.sh tests); asks nothing, starts no service
  2. builds into $build/ what these tests need
  3. runs them with ctest; what needs root, a kernel option or a program that is not here is skipped, with the reason
Quicker: tests/run.sh quick     One of them: tests/run.sh -R e2e.follow     Their names: ctest --test-dir $build -N
EOF

# needed: the targets behind the names of tests on standard input.
needed() {
  local name targets="ovc ovcshim "
  while read -r name; do
    case $name in
      check.*) ;;
      unit.*) targets+="ovc_tests test_programs " ;;
      e2e.* | promise.*) targets+="docs test_programs " ;;
      kernels.*) targets+="ovc_tests test_programs " ;;
      hostile.* | servers.* | recipes.*) targets+="docs test_programs hostile_programs " ;;
      *) echo all; return ;;
    esac
  done
  tr ' ' '\n' <<<"$targets" | sort -u | grep .
}
# Unit tests have names only once they are built.
chosen() {
  ctest --test-dir "$build" -N "${arguments[@]}" | sed -nE 's/^ *Test +#[0-9]+: //p'
  [[ ${arguments[*]-} != *unit* ]] || echo unit.
}
tests/setup.sh tests
tests/configure.sh "$build" -DCMAKE_BUILD_TYPE=Release -DOVC_TESTS=ON
mapfile -t targets < <(chosen | needed)
cmake --build "$build" -j"$(nproc)" --target "${targets[@]}"
exec ctest --test-dir "$build" --output-on-failure -j"$(nproc)" "${arguments[@]}"
