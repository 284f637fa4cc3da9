#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs the Debian packages that are missing; asks nothing, starts no service, does nothing when all is there.
#   tests/setup.sh demo    to build, and redis-server for the demo
#   tests/setup.sh tests   and what ctest needs (the default)
#   tests/setup.sh ci      and what .ci/run needs
#   tests/setup.sh browser what ctest needs and Chromium, for tests/e2e/report_browser.sh
#   tests/setup.sh bench   what ctest needs and what tests/bench/run.sh measures beside the shim
set -euo pipefail

demo=(g++ cmake make pkg-config libfmt-dev libdw-dev libelf-dev libcli11-dev nlohmann-json3-dev redis-server redis-tools)
tests=("${demo[@]}" catch2 jq python3
  curl strace memcached gunicorn nodejs postgresql apache2 nginx-light php-fpm  # tests/servers
  valgrind)  # tests/bench/instructions.sh
# what the shim shares a process with (tests/hostile)
tests+=(libjemalloc2 libjemalloc-dev libtcmalloc-minimal4 libmimalloc2.0 libeatmydata1 liblttng-ust1 musl-tools clang libcap2-bin gdb)
[[ $(uname -m) != x86_64 ]] || tests+=(gcc-multilib)
ci=("${tests[@]}" clang-format clang-tidy shellcheck prometheus)  # prometheus: promtool
bench=("${tests[@]}" heaptrack lttng-tools liblttng-ust1 libc-devtools uftrace bpftrace ltrace)
browser=("${tests[@]}" chromium)
case ${1:-tests} in
  demo) wanted=("${demo[@]}") ;;
  tests) wanted=("${tests[@]}") ;;
  ci) wanted=("${ci[@]}") ;;
  browser) wanted=("${browser[@]}") ;;
  bench) wanted=("${bench[@]}") ;;
  *) echo "usage: $0 [demo|tests|ci|browser|bench]" >&2; exit 2 ;;
esac
command -v dpkg-query >/dev/null || { echo "Not a Debian system; taken as installed: ${wanted[*]}"; exit 0; }

is_installed() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }
missing=()
for package in "${wanted[@]}"; do is_installed "$package" || missing+=("$package"); done
((${#missing[@]})) || exit 0

as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null || { echo "Missing, and only root can install them: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "Installing ${missing[*]}"
# A package's service must not start now, nor at the next boot if it is we who brought it.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
fi
log=$(mktemp)
quietly() { "$@" >"$log" 2>&1 </dev/null || { cat "$log" >&2; echo "failed: $*" >&2; exit 1; }; }
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=600)
quietly "${apt[@]}" update
quietly "${apt[@]}" install --no-install-recommends "${missing[@]}"
rm -f "$log"
for package in redis-server prometheus postgresql apache2 nginx php-fpm lttng-tools; do
  [[ " ${missing[*]} " == *" $package "* && -d /run/systemd/system ]] || continue
  services=("${package/lttng-tools/lttng-sessiond}")
  [[ $package != php-fpm ]] || mapfile -t services < <(basename -a /lib/systemd/system/php*-fpm.service)
  "${as_root[@]}" systemctl disable --quiet "${services[@]}" || true
done
