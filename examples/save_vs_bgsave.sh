#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shows: SAVE writes the data set in the server itself; BGSAVE forks a child for it. And who serves the calls: libc the
#   fork, jemalloc the malloc.
# Run:   ./examples/save_vs_bgsave.sh      (after ./examples/demo.sh or a build)
# Expect:
#   redis-cli SAVE: OK
#   no fork recorded
#   redis-cli BGSAVE: Background saving started
#   ... fork ... exited, 0; ... page faults BGSAVE: redisFork <- rdbSaveBackground <- bgsaveCommand
#   ... fork() = ... <- redisFork...
#   ... wait...[exited, 0]...
#   served by libc.so.6: ... fork, ...; libjemalloc.so.2: ... malloc...
set -euo pipefail
cd "$(dirname "$0")/.."
build=${OVC_BUILD:-build}
ovc=$build/ovc
work=$(mktemp -d /var/tmp/ovc-save.XXXXXX)
log=$work/redis.ovc
. tests/fixtures/redis.sh
trap 'redis_stop; rm -rf "$work"' EXIT

show() { printf '\n$ ovc %s\n' "$*"; "$ovc" "$1" "$log" "${@:2}" || (($? == 1)); }

redis_start "$work" LD_PRELOAD="$(realpath "$build/libovcshim.so")" OVCSHIM_LOG="$log"
redis_fill 64
echo "redis-cli SAVE: $(redis save)"
show forks
echo
echo "redis-cli BGSAVE: $(redis bgsave)"
redis_bgsave_ends
show forks
show show --op fork,waitpid,wait3,wait4
redis_stop
show stats
