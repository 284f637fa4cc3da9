#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# redis-server under the shim: passes redis-benchmark, its data survive SAVE, BGSAVE, BGREWRITEAOF and a restart, and it
# prints the same lines as without the shim, times and pids aside.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/redis.sh"
on_exit() { redis_stop; }

session() {
  local dir=$1
  shift
  redis_start "$dir" "$@"
  redis-benchmark -p "$redis_port" -q -n 20000 -P 16 -t set,get,incr,lpush,rpush,lpop,sadd,hset,zadd,lrange_100,mset >"$dir/benchmark"
  redis flushall >/dev/null
  redis_fill 16
  redis set answer 42 >/dev/null
  redis eval "for i = 1, 1000 do redis.call('rpush', 'list', string.rep('x', i)) end" 0 >/dev/null
  redis debug digest >"$dir/digest"
  [[ $(redis save) == OK ]] || fail "SAVE"
  redis bgsave >/dev/null
  redis_bgsave_ends
  redis_stop
  redis_start "$dir" "$@"
  redis debug digest >"$dir/digest.rdb"
  redis config set appendonly yes >/dev/null
  while [[ $(redis info persistence) == *aof_rewrite_in_progress:1* || $(redis info persistence) == *aof_rewrite_scheduled:1* ]]; do sleep 0.1; done
  redis_stop
  redis_start "$dir" "$@" -- --appendonly yes
  redis debug digest >"$dir/digest.aof"
  redis_stop
}
# Times, pids, ports, memory and durations vary by themselves; which of two children's ends is logged first too.
neutral() { sed -E -e 's/^[0-9]+:([A-Z]) [0-9]+ [A-Z][a-z]+ [0-9: .]+/\1 /' -e 's/[0-9]+\.?[0-9]*/N/g' "$1" | grep -v '^ *$' | sort | uniq -c; }

session plain
session shim LD_PRELOAD="$shim" OVCSHIM_LOG="$work/%c.%p.ovc"
[[ $(grep -c 'requests per second' shim/benchmark) == $(grep -c 'requests per second' plain/benchmark) ]] || fail "redis-benchmark"
for after in rdb aof; do same shim/digest "shim/digest.$after" "data after a restart from $after"; done
same plain/digest shim/digest "data"
same <(neutral plain/redis.log) <(neutral shim/redis.log) "redis' log"
same plain/redis.out shim/redis.out "redis' output"
for log in redis-server.*.ovc; do
  exits 0 ovc why "$log" >out
  exits 0 ovc stats "$log" >out
done
