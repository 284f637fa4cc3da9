#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs the Debian packages that are missing; asks nothing, starts no service, does nothing when all is there.
#   tests/setup.sh demo    to build, and redis-server for the demo
#   tests/setup.sh tests   and what ctest needs (the default)
#   tests/setup.sh kernels and what tests/kernels needs: qemu-system-x86 (18 MB fetched, 89 MB on disk), qemu-system-arm. Without: skipped
#   tests/setup.sh ci      both, and what .ci/run needs
#   tests/setup.sh exports what ctest needs and what opens reports and exports: sqlite3, ClickHouse (100 MB), Prometheus (150 MB), Chromium
#                          (400 MB), and of npm DuckDB (70 MB), speedscope and DevTools' trace engine (20 MB). Without: skipped
#   tests/setup.sh recipes what ctest needs, and for tests/recipes/static_jemalloc.sh a redis-server of Debian's source package (4 minutes)
#   tests/setup.sh suites  what ctest needs and what tests/trust/suites.sh runs: CPython's tests, stress-ng, Chromium (400 MB)
#   tests/setup.sh bench   what ctest needs and what tests/bench/run.sh measures beside the shim
set -euo pipefail

demo=(g++ cmake make ninja-build pkg-config libfmt-dev libdw-dev libelf-dev libcli11-dev nlohmann-json3-dev libsqlite3-dev
  libunwind-dev redis-server redis-tools)
tests=("${demo[@]}" catch2 jq python3 sqlite3
  curl strace memcached gunicorn nodejs postgresql apache2 nginx-light php-fpm  # tests/servers
  systemd bubblewrap procps  # tests/recipes
  valgrind       # tests/bench/instructions.sh, tests/hostile/valgrind.sh
  busybox expect lua5.4 mksh rsync tcl  # tests/e2e/ordinary_ends.sh, which takes more where there are more
  bindfs xfsprogs btrfs-progs  # tests/trust/log_places.sh
  dpkg-dev file man-db xz-utils)  # tests/e2e/package.sh, old_logs.sh
# what the shim shares a process with (tests/hostile); Debian 13 has some under other names: the first that there is
tests+=(libjemalloc2 libjemalloc-dev "libtcmalloc-minimal4t64|libtcmalloc-minimal4" "libmimalloc3|libmimalloc2.0" libeatmydata1
  "liblttng-ust1t64|liblttng-ust1" musl-tools clang libclang-rt-dev libcap2-bin gdb)  # the runtimes: tests/fuzz
[[ $(uname -m) != x86_64 ]] || tests+=(gcc-multilib)
kernels=("${tests[@]}" qemu-system-x86 qemu-system-arm "busybox-static|busybox" cpio kmod e2fsprogs checkpolicy)
ci=("${kernels[@]}" clang-format clang-tidy shellcheck prometheus lintian zsh fish)  # prometheus: promtool; the last: tests/e2e/package.sh
exports=("${tests[@]}" clickhouse-server clickhouse-client prometheus prometheus-node-exporter python3-prometheus-client chromium nodejs)
modules=(@duckdb/node-api@1.5.6-r.1 speedscope@1.25.0 @paulirish/trace_engine@0.0.65)  # where tests/fixtures/exports.sh looks:
modules_folder=${OVC_TEST_NODE:-/usr/local/lib/ovcshim-tests}
bench=("${tests[@]}" heaptrack lttng-tools libc-devtools uftrace bpftrace ltrace afl++)  # afl++: tests/fuzz/run.sh --afl
recipes=("${tests[@]}" dpkg-dev)
suites=("${tests[@]}" "libpython3.13-testsuite|libpython3.11-testsuite" stress-ng chromium)
static_redis=${OVC_TEST_STATIC_REDIS:-/usr/local/lib/ovcshim-tests/redis-static-jemalloc}  # where tests/recipes/static_jemalloc.sh looks
case ${1:-tests} in
  demo) wanted=("${demo[@]}") ;;
  tests) wanted=("${tests[@]}") ;;
  kernels) wanted=("${kernels[@]}") ;;
  ci) wanted=("${ci[@]}") ;;
  exports) wanted=("${exports[@]}") ;;
  recipes) wanted=("${recipes[@]}") ;;
  suites) wanted=("${suites[@]}") ;;
  bench) wanted=("${bench[@]}") ;;
  *) echo "usage: $0 [demo|tests|kernels|ci|exports|recipes|suites|bench]" >&2; exit 2 ;;
esac
command -v dpkg-query >/dev/null || { echo "Not a Debian system; taken as installed: ${wanted[*]}"; exit 0; }

# is_installed NAME|NAME...
is_installed() {
  local name
  for name in ${1//|/ }; do [[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) != installed ]] || return 0; done
  return 1
}
# to_install NAME|NAME...: the first that apt could install, else the last, for apt to say what is wrong with it
to_install() {
  local name
  for name in ${1//|/ }; do [[ -z $(apt-cache --quiet=2 madison "$name" 2>/dev/null) ]] || break; done
  echo "$name"
}
missing=()
for package in "${wanted[@]}"; do is_installed "$package" || missing+=("$package"); done
missing_modules=()
if [[ ${1:-} == exports ]]; then
  command -v npm >/dev/null || missing+=(npm)
  for module in "${modules[@]}"; do [[ -d $modules_folder/node_modules/${module%@*} ]] || missing_modules+=("$module"); done
fi
wants_redis=0
[[ ${1:-} != recipes || -x $static_redis/redis-server ]] || wants_redis=1
((${#missing[@]} + ${#missing_modules[@]} + wants_redis)) || exit 0

as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null || { echo "Missing, and only root can install them: ${missing[*]} ${missing_modules[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
((${#missing[@]} + ${#missing_modules[@]} == 0)) || echo "Installing ${missing[*]%%|*} ${missing_modules[*]}"
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
if ((${#missing[@]})); then
  quietly "${apt[@]}" update
  for i in "${!missing[@]}"; do missing[i]=$(to_install "${missing[i]}"); done
  quietly "${apt[@]}" install --no-install-recommends "${missing[@]}"
fi
if ((${#missing_modules[@]})); then
  "${as_root[@]}" mkdir -p "$modules_folder"
  quietly "${as_root[@]}" npm install --prefix "$modules_folder" --no-audit --no-fund --ignore-scripts "${missing_modules[@]}"
fi
if ((wants_redis)); then
  folder=$(mktemp -d)
  echo "Building redis-server with jemalloc in it"
  quietly "$(dirname "$0")/../examples/recipes/redis-static-jemalloc/build.sh" "$folder"
  "${as_root[@]}" install -D -t "$static_redis" "$folder/redis-server"
  rm -rf "$folder"
fi
rm -f "$log"
for package in redis-server prometheus prometheus-node-exporter clickhouse-server postgresql apache2 nginx php-fpm lttng-tools; do
  [[ " ${missing[*]} " == *" $package "* && -d /run/systemd/system ]] || continue
  services=("${package/lttng-tools/lttng-sessiond}")
  [[ $package != php-fpm ]] || mapfile -t services < <(basename -a /lib/systemd/system/php*-fpm.service)
  "${as_root[@]}" systemctl disable --quiet "${services[@]}" || true
done
