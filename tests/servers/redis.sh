#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# redis-server with a replica, whatever makes it fork: save points, BGSAVE, BGREWRITEAOF, appendonly switched on, full
# synchronisation by way of the disk and without; ended by SIGTERM, which saves once more. Both servers hold the same data and
# write the same lines to their logs as without the shim; each fork has its purpose. Then each of them refused.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/redis.sh"
. "$source_dir/tests/fixtures/servers.sh"
replica_pid=
on_exit() {
  redis_stop
  [[ -z $replica_pid ]] || kill -9 "$replica_pid" 2>/dev/null || true
}

# info SECTION LINE...: all of these lines are there
info() {
  local text line section=$1
  shift
  text=$(redis info "$section")
  for line; do [[ $text == *"$line"$'\r'* ]] || return 1; done
}
idle() { info persistence rdb_bgsave_in_progress:0 aof_rewrite_in_progress:0 aof_rewrite_scheduled:0; }
replica() { redis-cli -h 127.0.0.1 -p "$replica_port" "$@" 2>/dev/null; }
in_step() { [[ $(replica info replication) == *master_link_status:up* && $(replica debug digest) == "$(redis debug digest)" ]]; }

# replica_start DIR [VAR=VALUE...]: sets replica_pid, replica_port; it asks for a full synchronisation
replica_start() {
  local dir=$1
  shift
  mkdir -p "$dir"
  free_port
  replica_port=$port
  env "$@" redis-server --port "$port" --bind 127.0.0.1 --dir "$PWD/$dir" --logfile "$PWD/$dir/redis.log" --save '' \
    --enable-debug-command yes --replicaof 127.0.0.1 "$redis_port" </dev/null >"$dir/redis.out" 2>&1 &
  replica_pid=$!
}
replica_stop() {
  kill "$replica_pid"
  until_so 10 "the replica's end" is_gone "$replica_pid"
  wait "$replica_pid" || true
  replica_pid=
}

session() {
  local dir=$1 diskless
  shift
  redis_start "$dir" "$@" -- --repl-diskless-sync-delay 0
  redis_fill 4
  redis config set save '1 1' >/dev/null
  redis set one 1 >/dev/null
  until_so 20 "a save point" info persistence rdb_changes_since_last_save:0 rdb_bgsave_in_progress:0
  redis config set save '' >/dev/null
  redis bgsave >/dev/null
  until_so 20 "BGSAVE" idle
  redis bgrewriteaof >/dev/null
  until_so 20 "BGREWRITEAOF" idle
  redis config set appendonly yes >/dev/null
  until_so 20 "the first append only file" idle
  for diskless in no yes; do
    redis config set repl-diskless-sync $diskless >/dev/null
    replica_start "$dir/replica-$diskless" "$@" OVCSHIM_LOG="$work/$dir/replica.ovc"
    until_so 30 "the replica with repl-diskless-sync $diskless" in_step
    replica debug digest >>"$dir/digests"
    replica_stop
    until_so 20 "the child that fed the replica" idle
  done
  redis config set save '3600 1' >/dev/null
  redis set two 2 >/dev/null
  kill "$redis_pid"
  until_so 10 "redis' end after SIGTERM" is_gone "$redis_pid"
  wait "$redis_pid" || fail "redis ended with $?"
  redis_pid=
  redis_start "$dir" "$@"
  redis debug digest >>"$dir/digests"
  redis_stop
}
# Times, pids, ports, sizes and how often something was polled vary by themselves.
neutral() { sed -E -e 's/^[0-9]+:([A-Z]) [0-9]+ [A-Z][a-z]+ [0-9: .]+/\1 /' -e 's/[0-9a-f]{40}/ID/g' -e 's/[0-9]+\.?[0-9]*/N/g' -e '/^ *$/d' "$1" | sort -u; }

session plain
for internals in 1 0; do
  session shim$internals LD_PRELOAD="$shim" OVCSHIM_LOG="$work/shim$internals.ovc" OVCSHIM_LIBC_INTERNALS=$internals
  same plain/digests shim$internals/digests "data"
  for log in redis.log redis.out replica-no/redis.log replica-yes/redis.log; do
    same <(neutral plain/$log) <(neutral shim$internals/$log) "$log"
  done
  forks_told shim$internals.ovc >purposes
  same purposes - <<'END'
1 AOF rewrite: appendonly was switched on
1 BGREWRITEAOF
1 BGSAVE
1 replication: full synchronisation by way of the disk
1 replication: full synchronisation, diskless
1 save point
END
  exits 0 ovc why shim$internals.ovc >/dev/null
  [[ $(ovc forks shim$internals/replica.ovc) == 'no fork recorded' ]] || fail "forks of the replica"
done

# The same server where the limit would not hold its data twice.
mib=1536  # what others take or give back meanwhile must not decide: half of it either way
redis_start refused LD_PRELOAD="$shim" OVCSHIM_LOG="$work/refused.ovc" OVCSHIM_REHEARSE="$(rehearse_limit $((mib * 3 / 2)))" \
  -- --repl-diskless-sync-delay 0
times_said() { grep -c "$1" refused/redis.log || true; }
said_after() { (($(times_said "$2") > $1)); }
no_save="Can't save in background: fork: Cannot allocate memory"
no_rewrite="Can't rewrite append only file in background: fork: Cannot allocate memory"
redis_fill $mib
redis config set save '1 1' >/dev/null  # first: redis waits five seconds after any other refusal
redis set one 1 >/dev/null
until_so 20 "the refusal of a save point" said_after 0 "$no_save"
redis config set save '' >/dev/null
saves=$(times_said "$no_save")
{
  redis bgsave
  redis bgrewriteaof
  redis config set appendonly yes
} | sed '/^$/d' >replies || true
same replies - <<'END'
ERR
ERR Can't execute an AOF background rewriting. Please check the server logs for more information.
ERR CONFIG SET failed (possibly related to argument 'appendonly') - Unable to turn on AOF. Check server logs.
END
[[ $(times_said "$no_save") == $((saves + 1)) ]] || fail "BGSAVE: $(tail refused/redis.log)"
[[ $(times_said "$no_rewrite") == 2 ]] || fail "AOF: $(tail refused/redis.log)"
for diskless in no yes; do
  redis config set repl-diskless-sync $diskless >/dev/null
  saves=$(times_said "$no_save")
  replica_start refused/replica-$diskless
  until_so 20 "the refusal of a synchronisation" said_after "$saves" "$no_save"
  replica_stop
done
[[ $(redis get one) == 1 ]] || fail "redis does not serve"
redis_stop
for purpose in BGSAVE BGREWRITEAOF "AOF rewrite: appendonly was switched on" "save point" \
  "replication: full synchronisation by way of the disk" "replication: full synchronisation, diskless"; do
  refusal_told refused.ovc "$purpose"
done
nobody_left
