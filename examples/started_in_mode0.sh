#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shows: the redis-server of demo.sh, with the same data and the same limit, is NOT refused when it was started in mode 0
#   and the switch to mode 2 came later. jemalloc reads vm.overcommit_memory once, at start; in mode 0 it maps the heap
#   MAP_NORESERVE, and that flag stays with a mapping: the heap is charged neither to the server nor to its child.
# Run:   ./examples/started_in_mode0.sh      (root, after a build)
# Expect:
#   Now vm.overcommit_memory = 2:
#   redis-cli BGSAVE: Background saving started
#   Background saving terminated with success
#   charged at fork: ... kB; not charged: ... kB, since its mappings are MAP_NORESERVE
#   ... fork ... exited, 0; ... page faults BGSAVE: ...
#   ... mmap(..., PROT_READ|PROT_WRITE, ...MAP_NORESERVE...) = ... charge 0 kB ...
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
build=${OVC_BUILD:-build}
if [[ ${1-} != --inside ]]; then
  tests/fixtures/overcommit.sh 0 -- "$here/started_in_mode0.sh" --inside
  exit
fi

work=$(mktemp -d /var/tmp/ovc-mode0.XXXXXX)
log=$work/redis.ovc
. tests/fixtures/redis.sh
trap 'redis_stop; rm -rf "$work"' EXIT

# kB of the server's mappings that carry the flag $1 in smaps.
flagged_kb() { awk -v flag=" $1( |$)" '/^Size:/ { size = $2 } /^VmFlags:/ && $0 ~ flag { sum += size } END { print sum + 0 }' "/proc/$redis_pid/smaps"; }

echo "Started with vm.overcommit_memory = $(</proc/sys/vm/overcommit_memory), then 1600 MiB of data"
redis_start "$work" LD_PRELOAD="$(realpath "$build/libovcshim.so")" OVCSHIM_LOG="$log"
redis_fill 1600
tests/fixtures/overcommit.sh 2 +1030M
echo "Now vm.overcommit_memory = $(</proc/sys/vm/overcommit_memory):"
grep -E '^(CommitLimit|Committed_AS)' /proc/meminfo
echo "redis-cli BGSAVE: $(redis bgsave)"
redis_bgsave_ends
grep -oE "Can't save in background.*|Background saving (started|terminated).*" "$work/redis.log"
echo "charged at fork: $(flagged_kb ac) kB; not charged: $(flagged_kb nr) kB, since its mappings are MAP_NORESERVE"
printf '\n$ ovc forks\n'
"$build/ovc" forks "$log"
printf '\n$ ovc show --op mmap --min-size 2M | head -n 5\n'
"$build/ovc" show --op mmap --min-size 2M "$log" | head -n 5
