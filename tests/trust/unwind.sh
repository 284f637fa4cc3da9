#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The shim's unwinder against libunwind's, frame by frame, in programs as they work: stopped at moments of chance, then instruction by
# instruction. No frame of the shim's is contradicted; how many of a program's states it may give up earlier in is pinned below.
#   unwind.sh [--states N] [--seed S] [PROGRAM...]     one line for each: NAME: what `unwind_oracle` tells
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/redis.sh"
. "$source_dir/tests/fixtures/servers.sh"
. "$source_dir/tests/fixtures/daemons.sh"
. "$source_dir/tests/fixtures/postgres.sh"
. "$source_dir/tests/fixtures/beside.sh"
[[ $(uname -m) == x86_64 ]] || skip "on aarch64: tests/kernels/aarch64.sh --unwind"
states=400 seed=1 chosen=()
while (($#)); do
  case $1 in
    --states) states=$2; shift ;;
    --seed) seed=$2; shift ;;
    *) chosen+=("$1") ;;
  esac
  shift
done
pids=()
on_exit() {
  for pid in "${pids[@]}"; do kill -KILL "$pid"; done 2>/dev/null || true
  redis_stop
  postgres_stop
}
total=0
# judged NAME PERCENT PID: at most PERCENT of its states end earlier than libunwind's
judged() {
  local said earlier
  said=$("$build/trust/unwind_oracle" "$3" "$states" "$seed" 2>&1) || { echo "$said" >&3; fail "$1: contradicted, or too few states"; }
  echo "$1: $said"
  earlier=$(sed -nE 's/.* ([0-9]+) shim earlier.*/\1/p' <<<"$said")
  ((earlier * 100 <= states * $2)) || fail "$1: the shim ends earlier in $earlier of $states states, more than $2 %"
  total=$((total + states))
}
# begins COMMAND...: in the background; its pid in `pid`
begins() {
  : >program.out  # before it is looked into
  "$@" >program.out 2>&1 </dev/null &
  pid=$!
  pids+=("$pid")
}

# Signal handlers, contexts, recursion, realigned frames (whose CFA is for some instructions in a register that no caller has saved).
try_stacks() {
  begins strange_stacks
  until [[ $(<program.out) == ready ]]; do kill -0 "$pid"; done
  judged stacks 15 "$pid"
}
# The same on musl, whose own code has no tables: a stack in it is followed by neither.
try_musl() {
  begins ./musl
  until [[ $(<program.out) == ready ]]; do kill -0 "$pid"; done
  judged musl 15 "$pid"
}
try_threads() {
  mkfifo in
  : >threads.out
  many_threads 8 hasty <in >threads.out &
  pid=$!
  pids+=("$pid")
  exec 9>in
  until [[ $(<threads.out) == *ready* ]]; do kill -0 "$pid"; done
  judged threads 1 "$pid"
  exec 9>&-
  wait "$pid" || fail "many_threads noticed"
}
try_redis() {
  redis_start server
  redis-benchmark -p "$redis_port" -q -t set,get,lpush,lrange,mset -l -c 20 >load.out 2>&1 &
  pids+=("$!")
  judged redis 1 "$redis_pid"
  kill "${pids[-1]}"
  redis_stop
}
try_python() {
  begins python3 -uc 'import hashlib, json, random, re, zlib
print("ready")
while True:
    text = json.dumps([{"a": i, "b": str(i) * 3} for i in range(200)])
    json.loads(text), re.findall(r"(\d+)a*", text), hashlib.sha256(text.encode()).digest(), zlib.compress(text.encode())
    sorted(random.random() for _ in range(100))'
  until [[ $(<program.out) == ready ]]; do kill -0 "$pid"; done
  judged python 1 "$pid"
}
try_postgres() {
  local backend=
  postgres_start
  postgres_run pgbench -i -q >init.out 2>&1
  cat >queries.sql <<'SQL'
select count(*), max(md5(g::text)), sum(length(repeat('x', g))) from generate_series(1, 3000) g;
update pgbench_accounts set abalance = abalance + 1 where aid = 17;
select count(*) from pgbench_accounts a join pgbench_tellers t on a.bid = t.bid where a.filler ~ 'x' or a.aid < 50;
SQL
  begins "${postgres_env[@]}" pgbench -n -c 1 -T 600 -f queries.sql
  until backend=$(postgres_busy) && [[ -n $backend ]]; do kill -0 "$pid"; done
  judged postgres 1 "$backend"
  postgres_stop
}
# Hand-written assembly, with its tables.
try_crypto() {
  begins openssl speed -seconds 600 sha256
  judged crypto 1 "$pid"
}

((${#chosen[@]})) || chosen=(stacks threads musl redis python postgres crypto)
is_here() {
  case $1 in
    redis) command -v redis-server redis-benchmark >/dev/null ;;
    postgres) [[ -n $postgres_bin ]] ;;
    crypto) command -v openssl >/dev/null ;;
    musl) built musl musl-gcc -O2 -g -Wl,--eh-frame-hdr -I"$source_dir" "$source_dir/tests/programs/strange_stacks.c" ;;
  esac
}
for name in "${chosen[@]}"; do
  is_here "$name" || { echo "left out: $name is not installed"; continue; }
  "try_$name"
  for pid in "${pids[@]}"; do
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  pids=()
done
echo "$total states, none contradicted"
