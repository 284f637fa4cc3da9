#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shows: what vm.overcommit_memory = 2 would do to a redis-server, without root and without changing the host: the shim refuses
#   what the kernel would refuse under that setting and that CommitLimit. Every record and verdict says that it is a rehearsal.
#   First a limit that the server lives under but cannot fork under, then one that leaves room for its child.
# Run:   ./examples/rehearse.sh      (after a build; no root needed)
# Expect:
#   600 MiB of data, rehearsed CommitLimit: Committed_AS now + 1000 MiB
#   redis-cli BGSAVE: ERR
#   Can't save in background: fork: Cannot allocate memory
#   fork refused with ENOMEM at ... in redis-server ...
#   cause rehearsed by OVCSHIM_REHEARSE, the kernel was not asked: commit limit reached (vm.overcommit_memory = 2)
#   charge ... kB over ... mappings; refused at the ...
#   note: recorded under OVCSHIM_REHEARSE=mode=2,limit=...K
#   600 MiB of data, rehearsed CommitLimit: Committed_AS now + 2500 MiB
#   redis-cli BGSAVE: Background saving started
#   Background saving terminated with success
set -euo pipefail
cd "$(dirname "$0")/.."
build=${OVC_BUILD:-build}
work=$(mktemp -d /var/tmp/ovc-rehearse.XXXXXX)
. tests/fixtures/redis.sh
trap 'redis_stop; rm -rf "$work"' EXIT

for room_mib in 1000 2500; do
  echo "600 MiB of data, rehearsed CommitLimit: Committed_AS now + $room_mib MiB"
  limit_kb=$(($(awk '$1 == "Committed_AS:" { print $2 }' /proc/meminfo) + room_mib * 1024))
  redis_start "$work/$room_mib" LD_PRELOAD="$(realpath "$build/libovcshim.so")" OVCSHIM_LOG="$work/$room_mib.ovc" \
    OVCSHIM_REHEARSE="mode=2,limit=${limit_kb}K"
  redis_fill 600
  echo "redis-cli BGSAVE: $(redis bgsave)"
  redis_bgsave_ends
  grep -oE "Can't save in background.*|Background saving terminated.*" "$work/$room_mib/redis.log"
  redis_stop
  printf '\n$ ovc why\n'
  "$build/ovc" why "$work/$room_mib.ovc" || (($? == 1))
  echo
done
