#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A redis-server that carries jemalloc as je_malloc (examples/recipes/redis-static-jemalloc/build.sh, by tests/setup.sh recipes): what that
# file says the shim sees of it and what not; its fork refused by a rehearsal is explained as Debian's is.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/servers.sh"
. "$source_dir/tests/fixtures/redis.sh"
program=${OVC_TEST_STATIC_REDIS:-/usr/local/lib/ovcshim-tests/redis-static-jemalloc}/redis-server
[[ -x $program ]] || skip "no $program (tests/setup.sh recipes builds it, in minutes)"
command -v redis-server >/dev/null || skip "redis-server is not installed"
on_exit() { server_stop KILL; }
pings() { [[ $(redis ping 2>/dev/null) == PONG ]]; }
is_idle() { [[ $(redis info persistence) == *rdb_bgsave_in_progress:0* ]]; }
[[ $("$program" --version) == *malloc=jemalloc-* ]] || fail "not with jemalloc: $("$program" --version)"
! ldd "$program" | grep jemalloc || fail "with a library of jemalloc"

# start PROGRAM LOG [VAR=VALUE...]
start() {
  local executable=$1 log=$2
  shift 2
  free_port
  redis_port=$port
  mkdir -p data
  server_start "$log.out" env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/$log" "$@" "$executable" --port "$port" --bind 127.0.0.1 \
    --dir "$PWD/data" --save ''
  until_so 10 "the server" pings
}
# counted LOG CALL: calls of the server itself, not of its children
counted() { ovc stats "$1" | awk -v call="$2" '/^process/ { n++ } n == 1 && $1 == call { print $2 }' | tr -d ,; }

for kind in static debian; do
  executable=$program
  [[ $kind == static ]] || executable=$(type -P redis-server)
  start "$executable" $kind.ovc
  redis eval "for i = 1, 20000 do redis.call('set', i, string.rep('x', 1000)) end" 0 >/dev/null
  redis bgsave >/dev/null
  until_so 10 "BGSAVE" is_idle
  server_stop TERM
  forks_told $kind.ovc >$kind.purposes
  (($(counted $kind.ovc mmap) > 0)) || fail "$kind: no mmap"
done
same static.purposes debian.purposes "forks (static, Debian's)"
# Each of 20000 values is a block of redis' own.
(($(counted debian.ovc malloc) > 20000)) || fail "Debian's: $(counted debian.ovc malloc) malloc"
(($(counted static.ovc malloc) < 20000 && $(counted static.ovc malloc) > 0)) || fail "static: $(counted static.ovc malloc) malloc"

# What its threads, three or four, have as stacks is promised and not touched: data would do as well.
stack_mib=512
ulimit -s $((stack_mib * 1024)) || skip "no larger stacks here: a refusal was not tried"
start "$program" refused.ovc OVCSHIM_REHEARSE="$(rehearse_limit $((stack_mib * 5)))"
[[ $(redis bgsave 2>&1 || true) == *ERR* ]] || fail "BGSAVE was not refused"
server_stop TERM
refusal_told refused.ovc BGSAVE 1
nobody_left
