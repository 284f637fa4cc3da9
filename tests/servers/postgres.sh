#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# PostgreSQL: initdb, connections, parallel workers, autovacuum, pgbench, a killed backend and a fast stop give what they give
# without the shim; the log names each child of the postmaster; refused forks are told by the server and explained by ovc.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/servers.sh"
. "$source_dir/tests/fixtures/daemons.sh"
bin=$(find /usr/lib/postgresql/*/bin -maxdepth 0 2>/dev/null | sort -V | tail -1) || true
[[ -n $bin ]] || skip "no PostgreSQL (package postgresql)"
for_everybody
((EUID)) || chown postgres "$work"
export PGUSER=postgres PGDATABASE=postgres PGCONNECT_TIMEOUT=10 PGHOST=$work PGPORT LC_ALL=C
as_user postgres
pg=("${as[@]}" env PATH="$bin:$PATH")
data=
on_exit() {
  [[ -z $data ]] || "${pg[@]}" "$bin/pg_ctl" -D "$data" -m immediate stop >/dev/null 2>&1 || true
  server_stop QUIT
}
sql() { "${pg[@]}" psql -XAtq -v ON_ERROR_STOP=1 "$@"; }
answer() { [[ $(sql -c 'select 42' 2>/dev/null) == 42 ]]; }
autovacuumed() { [[ $(sql -c "select autovacuum_count > 0 from pg_stat_user_tables where relname = 't'") == t ]]; }

# A cluster in the folder DIR. Files are not forced to the disk, autovacuum comes soon, and nothing depends on the load.
cluster() {
  local dir=$1
  shift
  "${pg[@]}" "$@" initdb -D "$dir" -U postgres -A trust --locale=C --no-sync >"$dir.initdb" 2>&1 || { cat "$dir.initdb" >&3; fail "initdb"; }
  cat >>"$dir/postgresql.conf" <<END
listen_addresses = '127.0.0.1'
unix_socket_directories = '$work'
fsync = off
log_checkpoints = off
autovacuum_naptime = 1s
autovacuum_vacuum_threshold = 1
autovacuum_vacuum_scale_factor = 0
autovacuum_vacuum_insert_threshold = -1
autovacuum_analyze_threshold = 1000000
END
  free_port
  PGPORT=$port
}

session() {
  local dir=$1 backend deadline
  cluster "$@"
  shift
  "${pg[@]}" "$@" "$bin/pg_ctl" -D "$dir" -l "$work/$dir.log" -w start >"$dir.out" || { cat "$dir.log" >&3; fail "pg_ctl start"; }
  data=$dir
  {
    sql <<'END'
create table t as select g as id, md5(g::text) as s from generate_series(1, 50000) g;
create index on t(id);
set max_parallel_workers_per_gather = 2;
set min_parallel_table_scan_size = 0;
set parallel_setup_cost = 0;
set parallel_tuple_cost = 0;
select count(*), sum(length(s)), min(s), max(s) from t where id > 10;
select count(*) from t a join t b using (id) where a.s > 'a';
delete from t where id % 2 = 0;
copy (select id, s from t order by id limit 3) to program 'cat >&2; exit 0';
END
    "${pg[@]}" pgbench -iq 2>&1 | grep -c 'creating primary keys' || true
    "${pg[@]}" pgbench -n -c 4 -t 50 2>&1 | grep -E 'actually processed|failed'
    "${pg[@]}" pgbench -n -C -c 2 -t 10 2>&1 | grep -E 'actually processed|failed'
    sql -c 'select count(*) from pgbench_history'
  } >"$dir.answers" 2>&1 || { cat "$dir.answers" >&3; fail "$dir: work"; }
  until_so 20 "autovacuum" autovacuumed

  # One backend dies; the postmaster ends the others and starts anew.
  { sql -c 'select pg_sleep(60)' >"$dir.killed" 2>&1 || true; } &
  sleeper=$!
  sleeps() { backend=$(sql -c "select pid from pg_stat_activity where query = 'select pg_sleep(60)' and wait_event = 'PgSleep'") && [[ -n $backend ]]; }
  until_so 20 "a backend that sleeps" sleeps
  echo "$backend" >"$dir.victim"
  kill -9 "$backend"
  wait $sleeper
  until_so 20 "the restart" answer
  { sql -c 'select count(*), sum(id) from t'; sql -c 'select count(*) from pgbench_history'; } >>"$dir.answers"
  "${pg[@]}" "$bin/pg_ctl" -D "$dir" -m fast -w stop >>"$dir.out" || fail "pg_ctl stop"
  data=
}

session plain
finds 'terminated by signal 9: Killed' plain.log
finds 'server closed the connection unexpectedly' plain.killed
# How often a client asked while it recovered, where the WAL ended, and whether the last client's backend had gone before the stop
# differ from run to run.
lasting() { if [[ $1 == *.log ]]; then grep -vE 'recovery|not yet|invalid|redo done|administrator command|Broken pipe' "$1"; else cat "$1"; fi; }
for internals in 1 0; do
  session shim$internals LD_PRELOAD="$shim" OVCSHIM_LIBC_INTERNALS=$internals OVCSHIM_LOG="$work/shim$internals.%c.ovc"
  for what in initdb answers killed out log; do
    same <(lasting plain.$what | neutral) <(lasting shim$internals.$what | neutral) "$what"
  done
  log=shim$internals.pg_ctl.ovc
  [[ $(echo shim"$internals".*.ovc) == "shim$internals.initdb.ovc $log" ]] || fail "more than one log for a tree: $(echo ./*.ovc)"
  for tree in initdb pg_ctl; do forks_told "shim$internals.$tree.ovc" >"shim$internals.$tree.purposes"; done
  for purpose in "postmaster" "checkpointer" "background writer" "WAL writer" "startup process" "backend for a new connection" "background worker" "autovacuum launcher" \
    "autovacuum worker" "program of COPY ... PROGRAM"; do
    finds "^[0-9]+ $purpose$" shim$internals.pg_ctl.purposes
  done
  victim=$(<shim$internals.victim)
  [[ $(jq -r --argjson pid "$victim" '.forks[] | select(.child.pid == $pid) | .child.end' $log.forks) == "killed by SIGKILL" ]] ||
    fail "the end of the killed backend"
  exits 1 ovc why --json $log >verdicts.json
  [[ $(jq -r '.ends[].pid' verdicts.json) == "$victim" ]] || fail "ends: $(jq -c .ends verdicts.json)"
  [[ $(jq '[.verdicts[] | select(.cause == "unknown" or (.caller_coped | not))] | length' verdicts.json) == 0 ]] || fail "verdicts: $(jq .verdicts verdicts.json)"
done

# Version 17 makes all its children in one place; what a child is tells where it ends, and a refused one does not.
for_client="backend for a new connection" for_itself="auxiliary process"
if (($("$bin/postgres" --version | sed -E 's/.* ([0-9]+).*/\1/') >= 17)); then for_client="child of the postmaster" for_itself=$for_client; fi

# Forks refused one after the other: what the server and its clients say is what they say of a real ENOMEM.
# Five processes come first: checkpointer, background writer, startup, WAL writer, logical replication launcher.
cluster refused
server_start refused.log "${pg[@]}" LD_PRELOAD="$shim" OVCSHIM_LOG="$work/refused.ovc" OVCSHIM_INJECT='fork:error=ENOMEM:when=6..7' \
  postgres -D refused -c autovacuum=off
until_so 20 "the server" finds_quietly 'ready to accept connections' refused.log
for attempt in 1 2; do
  ! sql -c 'select 42' >client 2>&1 || fail "connection $attempt was not refused"
  grep -q 'could not fork new process for connection: Cannot allocate memory' client || fail "the client was told: $(<client)"
done
answer || fail "no connection after those"
server_stop INT
[[ $server_status == 0 ]] || fail "exit status $server_status"
[[ $(grep -c 'LOG:  could not fork new process for connection: Cannot allocate memory' refused.log) == 2 ]] || fail "said: $(<refused.log)"
exits 1 ovc why --json refused.ovc >verdicts.json
jq -e '[.verdicts[] | select(.op == "fork")] | length == 1 and .[0].cause == "injected" and .[0].count == 2 and
  .[0].purpose == $purpose' --arg purpose "$for_client" verdicts.json >/dev/null || fail "$(jq .verdicts verdicts.json)"

# A limit that does not hold the postmaster twice: its heap is made large by the allocator's padding.
mib=1024
server_start limit.log "${pg[@]}" LD_PRELOAD="$shim" OVCSHIM_LOG="$work/limit.ovc" OVCSHIM_REHEARSE="$(rehearse_limit $((mib * 3 / 2 + 64)))" \
  GLIBC_TUNABLES=glibc.malloc.top_pad=$((mib << 20)) postgres -D refused -c shared_buffers=16MB
status=0
wait $server_pid || status=$?
server_pid=
[[ $status == 1 ]] || fail "exit status $status: $(<limit.log)"
finds 'could not fork "?startup"? process: Cannot allocate memory' limit.log
refusal_told limit.ovc "$for_itself"
nobody_left
