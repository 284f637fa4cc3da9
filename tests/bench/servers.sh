# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: MIT
# Real servers as work of the benchmark: redis, PostgreSQL, memcached, each started anew for each side and round, since where its
# memory lies stays with a process. To be sourced after work.sh.
. tests/fixtures/redis.sh
port=

# On-CPU time of all threads of a process, ns. Not by %d: mawk's ends at 2^31.
busy_ns() { awk '{ sum += $1 } END { printf "%.0f\n", sum }' "/proc/$1/task/"*/schedstat; }
until_listening() {
  for _ in {1..500}; do
    ! (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null || return 0
    sleep 0.02
  done
  return 1
}
free_port() {
  for _ in {1..200}; do
    port=$((20000 + RANDOM % 12000))
    (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || return 0
  done
  return 1
}
# shim_vars SIDE: what to put into a server's environment. Each server (the function that asks) has a log of its own, since each has a
# user of its own; it stays for the next round, as with under_shim.
shim_vars() {
  vars=(OVC_BENCH=1)
  [[ $1 != recorded ]] || vars=(LD_PRELOAD="$shim" OVCSHIM_LOG="$work/servers/${FUNCNAME[1]}.ovc")
}

used_shim() { [[ $1 != recorded ]] || was_recorded "$work/servers/${FUNCNAME[1]}.ovc"; }

# redis_load NAME REQUESTS PIPELINE: "NAME NS", the server's CPU time a request, and of unpipelined ones "NAME.p99 MS"
redis_load() {
  local before p99
  redis flushall >/dev/null
  before=$(busy_ns "$redis_pid")
  # fields of the CSV: test, rps, average, min, p50, p95, p99, max
  p99=$(redis-benchmark -p "$redis_port" -t "${1%.*}" -n "$2" -P "$3" -c 20 -r 100000 --csv | tail -n 1 | cut -d, -f7 | tr -d '"')
  [[ $p99 =~ ^[0-9.]+$ ]] || { echo "redis-benchmark failed" >&2; return 1; }
  echo "$1 $((($(busy_ns "$redis_pid") - before) / $2))"
  (($3 > 1)) || echo "$1.p99 $p99"
}
redis_requests() {
  local vars command failed=0
  command -v redis-server redis-benchmark >/dev/null || { echo "reason not installed (redis-server, redis-tools)"; return 0; }
  shim_vars "$1"
  redis_start "$work/redis" "${vars[@]}" || return 1
  for command in set get lpush zadd; do
    redis_load $command.plain "$(amount 30000)" 1 && redis_load $command.pipelined "$(amount 200000)" 16 || failed=1
  done
  redis_stop
  ((!failed)) || return 1
  used_shim "$1"
}

memcached_requests() {
  local vars pid requests before
  command -v memcached >/dev/null || { echo "reason not installed (memcached)"; return 0; }
  shim_vars "$1"
  free_port
  env "${vars[@]}" memcached -u "$(id -un)" -l 127.0.0.1 -p "$port" -U 0 -t 2 >/dev/null 2>&1 </dev/null &
  pid=$!
  if until_listening "$port"; then
    requests=$(amount 40000)
    before=$(busy_ns "$pid")
    "$work/memcached_client" "$port" 2 "$requests" && echo "cpu $((($(busy_ns "$pid") - before) / requests))"
  fi
  kill "$pid"
  wait "$pid" || true
  used_shim "$1"
}

# The CPU time of the backends is their postmaster's as soon as it has waited for them.
ended_ticks() { awk '{ sub(/.*\) /, ""); print $14 + $15 }' "/proc/$1/stat"; }
pgbench_prepare() {
  ((EUID)) || chown postgres "$work/servers"
  "${as[@]}" "$pg_bin/initdb" -D "$1" -U postgres -A trust --locale=C --no-sync >"$work/initdb.log" 2>&1 || return 1
  printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$work/servers'" "fsync = off" "autovacuum = off" >>"$1/postgresql.conf"
}
pg_answers() { [[ $("${as[@]}" "$pg_bin/psql" -XAtq -h "$work/servers" -p "$port" -U postgres -c 'select 42' postgres 2>/dev/null) == 42 ]]; }
pg_idle() { ! pgrep -P "$pid" -f '\[local\]' >/dev/null; }
until_pg() {
  for _ in {1..500}; do
    ! "$1" || return 0
    sleep 0.02
  done
  return 1
}
pgbench_transactions() {
  local vars data=$work/servers/postgres pid before tps as=() seconds
  pg_bin=$(find /usr/lib/postgresql/*/bin -maxdepth 0 2>/dev/null | sort -V | tail -n 1)
  [[ -n $pg_bin ]] || { echo "reason not installed (postgresql)"; return 0; }
  ((EUID)) || as=(setpriv --reuid postgres --regid postgres --clear-groups)
  port=5432  # no TCP: the name of a socket in a folder of our own
  seconds=$(amount 2)
  [[ -e $data/PG_VERSION ]] || pgbench_prepare "$data" || return 1
  shim_vars "$1"
  "${as[@]}" env "${vars[@]}" "$pg_bin/postgres" -D "$data" >"$work/postgres.log" 2>&1 </dev/null &
  pid=$!
  until_pg pg_answers || { kill "$pid"; wait "$pid" || true; return 1; }
  [[ -e $work/pgbench.filled ]] || {
    "${as[@]}" "$pg_bin/pgbench" -h "$work/servers" -U postgres -iq postgres >/dev/null 2>&1
    touch "$work/pgbench.filled"
  }
  until_pg pg_idle
  before=$(ended_ticks "$pid")
  tps=$("${as[@]}" "$pg_bin/pgbench" -h "$work/servers" -U postgres -n -S -c 2 -T "$seconds" postgres 2>/dev/null | sed -n 's/^tps = \([0-9.]*\).*/\1/p')
  until_pg pg_idle
  [[ -n $tps ]] || echo "pgbench failed" >&2
  [[ -z $tps ]] || echo "tps $tps"
  [[ -z $tps ]] || awk -v ticks=$(($(ended_ticks "$pid") - before)) -v hz="$(getconf CLK_TCK)" -v n="$tps" -v s="$seconds" \
    'BEGIN { printf "cpu %.2f\n", ticks / hz / (n * s) * 1e6 }'
  tps=$("${as[@]}" "$pg_bin/pgbench" -h "$work/servers" -U postgres -n -S -C -c 2 -T "$seconds" postgres 2>/dev/null | sed -n 's/^tps = \([0-9.]*\).*/\1/p')
  until_pg pg_idle
  [[ -z $tps ]] || echo "connections $tps"
  kill -INT "$pid"
  wait "$pid" || true
  used_shim "$1"
}
