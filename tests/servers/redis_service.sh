#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# redis-server as services run it: `daemonize yes` with a pid file, and the walls of Debian's redis-server.service without
# systemd (tests/programs/service_walls.c): all read-only and nothing executable but what the unit names, a user of its own, no
# capabilities, no new privileges, no memory both writable and executable, the unit's system call filter, an almost empty
# environment. It serves, saves and stops as without the shim; the log is where the service may write; refusals are explained.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/redis.sh"
. "$source_dir/tests/fixtures/servers.sh"
daemon_pid=
on_exit() {
  server_stop TERM
  [[ -z $daemon_pid ]] || kill -9 "$daemon_pid" 2>/dev/null || true
}
pings() { [[ $(redis ping 2>/dev/null) == PONG ]]; }
is_idle() { [[ $(redis info persistence) == *rdb_bgsave_in_progress:0*aof_rewrite_in_progress:0* ]]; }
neutral() { sed -E -e 's/^[0-9]+:([A-Z]) [0-9]+ [A-Z][a-z]+ [0-9: .]+/\1 /' -e 's/[0-9]+\.?[0-9]*/N/g' -e '/^ *$/d' "$1" | sort -u; }
ends_by_term() {
  kill "$1"
  until_so 10 "the end of $2" is_gone "$1"
}

# A thread is called as its maker until it has named itself.
# shellcheck disable=SC2317 # called by until_so
threads_named() {
  local all name
  all=$(cat /proc/"$daemon_pid"/task/*/comm)
  for name in jemalloc_bg_thd bio_aof_fsync bio_close_file bio_lazy_free; do
    grep -x "$name" <<<"$all" >/dev/null || return 1
  done
}
# daemonize yes: the command returns, the daemon is the child; jemalloc's threads purge beside it.
daemonized() {
  local dir=$1
  shift
  mkdir "$dir"
  free_port
  redis_port=$port
  env "$@" redis-server --port "$port" --bind 127.0.0.1 --dir "$PWD/$dir" --logfile redis.log --pidfile "$PWD/$dir/redis.pid" \
    --daemonize yes --save '3600 1' --jemalloc-bg-thread yes </dev/null >"$dir/out" 2>&1 || fail "redis-server --daemonize: $?"
  until_so 10 "the daemon" pings
  daemon_pid=$(<"$dir/redis.pid")
  [[ $(awk '$1 == "PPid:" { print $2 }' "/proc/$daemon_pid/status") != "$$" ]] || fail "not a daemon"
  redis set a b >/dev/null
  redis bgsave >/dev/null
  until_so 10 "BGSAVE" is_idle
  until_so 10 "its threads" threads_named
  cat /proc/"$daemon_pid"/task/*/comm | sort -u >"$dir/threads"
  ends_by_term "$daemon_pid" "the daemon"
  daemon_pid=
  [[ ! -e $dir/redis.pid && -s $dir/dump.rdb ]] || fail "the pid file or the data after the end"
}
daemonized plain
for internals in 1 0; do
  daemonized "daemon$internals" LD_PRELOAD="$shim" OVCSHIM_LOG="$work/daemon$internals.ovc" OVCSHIM_LIBC_INTERNALS=$internals
  for file in out threads; do same plain/$file daemon$internals/$file "$file"; done
  same <(neutral plain/redis.log) <(neutral daemon$internals/redis.log) "redis.log"
  forks_told daemon$internals.ovc >purposes
  same purposes - <<<$'1 BGSAVE\n1 daemonize'
  [[ $(jq -r '.forks[] | select(.purpose == "BGSAVE") | .pid' daemon$internals.ovc.forks) == \
    $(jq -r '.forks[] | select(.purpose == "daemonize") | .child.pid' daemon$internals.ovc.forks) ]] || fail "the daemon's forks are not its own"
done
finds '^jemalloc_bg_thd$' plain/threads

# The service. The library stands where the unit lets code be loaded from; gconv is there on every Debian and redis needs none of it.
gconv=$(dirname "$(dirname "$(realpath /lib/*/libc.so.6)")")/$(basename "$(dirname "$(realpath /lib/*/libc.so.6)")")/gconv
[[ -d $gconv ]] || skip "no folder below /usr/lib to put the library in for the length of the test"
mkdir library
cp "$shim" library/
env=(LANG=C.UTF-8 PATH=/usr/bin USER=redis LOGNAME=redis HOME=/var/lib/redis NOTIFY_SOCKET=/var/lib/redis/notify)

# service_start DIR WX [VAR=VALUE...] [-- OPTION...]: ready when the server has told systemd's socket so
service_start() {
  local dir=$1 wx=$2 vars=()
  shift 2
  while (($#)) && [[ $1 != -- ]]; do vars+=("$1"); shift; done
  (($# == 0)) || shift
  mkdir "$dir" "$dir/lib" "$dir/log"
  chmod 777 "$dir/lib" "$dir/log"
  free_port
  redis_port=$port
  python3 -c '
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1]); os.chmod(sys.argv[1], 0o777); s.settimeout(20)
while b"READY=1" not in s.recv(4096): pass' "$dir/lib/notify" &
  local listener=$!
  until_so 10 "a socket for the notification" test -S "$dir/lib/notify"
  server_start "$dir/out" service_walls redis "$wx" /var/lib/redis="$PWD/$dir/lib" /var/log/redis="$PWD/$dir/log" \
    exec:"$gconv=$PWD/library" -- "${env[@]}" "${vars[@]}" /usr/bin/redis-server --port "$port" --bind 127.0.0.1 \
    --dir /var/lib/redis --logfile /var/log/redis/redis-server.log --supervised systemd --daemonize no --save '3600 1' \
    --enable-debug-command yes "$@"
  wait "$listener" || { cat "$dir/out"; ! grep -q '^skipped: ' "$dir/out" || exit 77; fail "the service was not ready"; }
}
service_used() {
  local dir=$1
  redis_fill 8
  redis debug digest >"$dir/digest"
  redis bgsave >/dev/null
  until_so 10 "BGSAVE" is_idle
  redis bgrewriteaof >/dev/null
  until_so 10 "BGREWRITEAOF" is_idle
  awk '/^(Seccomp|NoNewPrivs|CapBnd|Threads):/ { print $1, $2 }' "/proc/$server_pid/status" >"$dir/status"
  server_stop TERM
  echo "$server_status" >>"$dir/status"
  (cd "$dir/lib" && find . ! -name '*.ovc' ! -type s | sort) >"$dir/files"
}
service_start service.plain filter
service_used service.plain
finds '^Seccomp: 2$' service.plain/status
finds '^CapBnd: 0000000000000000$' service.plain/status
for wx in prctl filter; do
  dir=service.$wx
  service_start $dir $wx LD_PRELOAD="$gconv/libovcshim.so" OVCSHIM_LOG=/var/log/redis/%c.ovc
  service_used $dir
  for file in out digest status files; do same service.plain/$file $dir/$file "$file of the service ($wx)"; done
  same <(neutral service.plain/log/redis-server.log) <(neutral $dir/log/redis-server.log) "the service's log ($wx)"
  forks_told $dir/log/redis-server.ovc >purposes
  same purposes - <<<$'1 BGREWRITEAOF\n1 BGSAVE'
  [[ $(ovc stats $dir/log/redis-server.ovc) == *$'\n  in libc  '* ]] || fail "ovc stats does not say what of libc is visible"
done

# A library outside of what the unit lets be executed: the loader says so, and nothing else happens. So with a log that has no place.
service_start service.noexec filter LD_PRELOAD=/var/log/redis/libovcshim.so
service_used service.noexec
for file in digest status files; do same service.plain/$file service.noexec/$file "$file with a library that may not be loaded"; done
grep -v '^ERROR: ld.so: object' service.noexec/out >noexec || true
same service.plain/out noexec "output with a library that may not be loaded"
service_start service.nolog filter LD_PRELOAD="$gconv/libovcshim.so" OVCSHIM_LOG=/etc/redis.ovc
service_used service.nolog
for file in digest status files; do same service.plain/$file service.nolog/$file "$file without a place for the log"; done
grep -v '^ovcshim: ' service.nolog/out >nolog || true
same service.plain/out nolog "output without a place for the log"
[[ $(grep -c '^ovcshim: ' service.nolog/out) == 1 ]] || fail "said: $(<service.nolog/out)"

# Refused, and explained from within the walls.
mib=512
service_start refused filter LD_PRELOAD="$gconv/libovcshim.so" OVCSHIM_LOG=/var/log/redis/redis.ovc OVCSHIM_REHEARSE="$(rehearse_limit $((mib * 3 / 2)))"
redis_fill $mib
[[ $(redis bgsave) == ERR* ]] || fail "BGSAVE was not refused"
finds "Can't save in background: fork: Cannot allocate memory" refused/log/redis-server.log
redis shutdown nosave || true
server_stop TERM
refusal_told refused/log/redis.ovc BGSAVE 1
nobody_left
