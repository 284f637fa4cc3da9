#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# nginx in the background: it serves, reloads, replaces its binary and a killed worker as it does without the shim; its workers, of
# another user, go on writing the log; refused workers are told by nginx and explained by ovc.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/servers.sh"
. "$source_dir/tests/fixtures/daemons.sh"
PATH=$PATH:/usr/sbin
program=$(type -P nginx) || skip "no nginx (package nginx)"
for_everybody
dir=
master() { pid_in "$dir/nginx.pid"; }
on_exit() {
  local pid
  for pid in $(cat ./*/nginx.pid ./*/nginx.pid.oldbin 2>/dev/null || true); do kill "$pid" 2>/dev/null || true; done
}

# configure DIR WORKERS. To a new binary nginx hands on only what `env` names.
configure() {
  dir=$1
  mkdir -p "$dir/htdocs"
  echo hello >"$dir/htdocs/index.html"
  seq 20000 >"$dir/htdocs/big"
  free_port
  cat >"$dir/nginx.conf" <<END
$( ((EUID)) || echo "user www-data;")
env LD_PRELOAD;
env OVCSHIM_LOG;
daemon on;
worker_processes $2;
pid $work/$dir/nginx.pid;
error_log $work/$dir/error.log notice;
events { worker_connections 32; }
http {
  access_log off;
  proxy_cache_path $work/$dir/cache keys_zone=zone:1m;
  $(for what in client_body proxy fastcgi uwsgi scgi; do echo "${what}_temp_path $work/$dir/$what;"; done)
  server { listen 127.0.0.1:$port; root $work/$dir/htdocs; }
}
END
}
said_times() { [[ $(grep -cE "$2" "$dir/error.log") == "$1" ]]; }
stop() {
  local pid
  pid=$(master)
  kill -QUIT "$pid"
  daemon_gone "$pid"
}
workers_of() { pgrep -P "$1" 2>/dev/null | sort; }
replaced() { [[ -s $dir/nginx.pid.oldbin ]] && second=$(master) && [[ -n $second && $second != "$1" ]]; }

session() {
  local first second victim
  configure "$1" 2
  shift
  env "$@" "$program" -p "$work/$dir" -c "$work/$dir/nginx.conf" >"$dir/out" 2>&1 || fail "exit status $?: $(<"$dir/out")"
  until_so 10 "the pid file" master >/dev/null
  first=$(master)
  { fetch "$port" /; fetch "$port" /big | cksum; fetch "$port" /nothing | grep -c 404; } >"$dir/answers"
  kill -HUP "$first"
  until_so 10 "the end of the workers before the reload" said_times 4 'process [0-9]+ exited with code 0'
  fetch "$port" / >>"$dir/answers"
  kill -USR2 "$first"
  until_so 10 "the new binary" replaced "$first"
  kill -QUIT "$first"
  daemon_gone "$first"
  fetch "$port" / >>"$dir/answers"
  read -r victim < <(workers_of "$second")
  echo "$victim" >"$dir/victim"
  kill -9 "$victim"
  until_so 10 "the end of a killed process" said_times 1 "process $victim exited on signal 9"
  until_so 10 "its successor" said_times 1 'signal 17 .*from '"$victim"
  fetch "$port" / >>"$dir/answers"
  kill -QUIT "$second"
  daemon_gone "$second"
}
# Signals come together or one by one, and a process may be told to go before it has begun.
steady() { sed -E -e 's/^[0-9/]+ [0-9:]+ //' "$1" | grep -vE 'signal|exit|gracefully|reconfiguring|start (worker|cache)|RLIMIT' | neutral; }

session plain
for internals in 1 0; do
  session shim$internals LD_PRELOAD="$shim" OVCSHIM_LIBC_INTERNALS=$internals OVCSHIM_LOG="$work/shim$internals.%c.%p.ovc"
  same plain/answers shim$internals/answers "answers"
  same plain/out shim$internals/out "messages"
  same <(steady plain/error.log) <(steady shim$internals/error.log) "nginx' log"
  logs=(shim"$internals".*.ovc)
  ((${#logs[@]} == 1)) || fail "more than one log for a tree: ${logs[*]}"
  forks_told "${logs[0]}" >list
  # One worker or cache process was killed and started again.
  same <(grep -v 'started again' list) - <<'END'
6 cache manager or loader
6 worker process
1 daemonize
1 new binary on the fly
1 worker or cache process
END
  victim=$(<shim$internals/victim)
  exits 1 ovc why --json "${logs[0]}" >verdicts.json
  [[ $(jq -c '[[.ends[].pid], [.verdicts[].cause]]' verdicts.json) == "[[$victim],[]]" ]] || fail "$(jq . verdicts.json)"
  # Workers have changed their user; what they did afterwards is in the log.
  workers=$(jq '[.forks[] | select(.purpose == "worker process") | .child.pid]' "${logs[0]}.forks")
  exits 0 ovc show --json --op mmap,brk,exit "${logs[0]}" >calls
  [[ $(jq -s --argjson workers "$workers" '[.[] | select(.op == "exit" and (.pid | IN($workers[])))] | length' calls) -ge 5 ]] ||
    fail "the ends of the workers are not in the log"
done

# What a real ENOMEM makes it say; the log continues after the refusal.
configure refused 2
env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/refused.ovc" OVCSHIM_INJECT='fork:error=ENOMEM:when=2' \
  "$program" -p "$work/refused" -c "$work/refused/nginx.conf" 2>&1
until_so 10 "the pid file" master >/dev/null
until_so 10 "an answer" fetch "$port" / >/dev/null
said_times 1 'fork\(\) failed while spawning "worker process" \(12: Cannot allocate memory\)' || fail "said: $(<refused/error.log)"
stop
exits 1 ovc why --json refused.ovc >verdicts.json
jq -e '.verdicts | length == 1 and .[0].cause == "injected" and .[0].purpose == "worker process"' verdicts.json >/dev/null ||
  fail "$(jq .verdicts verdicts.json)"

# A limit that holds the master and some of its workers, where each has a heap of so many MiB by the allocator's padding.
mib=512
configure limit 8
env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/limit.ovc" OVCSHIM_REHEARSE="$(rehearse_limit $((mib * 7 / 2)))" \
  GLIBC_TUNABLES=glibc.malloc.top_pad=$((mib << 20)) "$program" -p "$work/limit" -c "$work/limit/nginx.conf" 2>&1
until_so 10 "the pid file" master >/dev/null
until_so 10 "a refused worker" finds_quietly 'fork\(\) failed while spawning "worker process" \(12: Cannot allocate memory\)' limit/error.log
stop
refusal_told limit.ovc "worker process"
# What stands before libc's functions in order to refuse is not what serves them.
ovc forks limit.ovc >list || (($? == 1))
finds '^served by libc.so.6: clone, fork, vfork$' list
nobody_left
