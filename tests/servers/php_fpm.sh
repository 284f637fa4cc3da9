#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# PHP-FPM in the background with two pools, dynamic and on demand, whose children are replaced after a few requests: it answers,
# reloads and stops as without the shim; the log names its forks, also those of scripts; refused children are told and explained.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/servers.sh"
. "$source_dir/tests/fixtures/daemons.sh"
PATH=$PATH:/usr/sbin
program=$(compgen -c php-fpm | grep -E '^php-fpm[0-9.]+$' | sort -V | tail -1) || skip "no PHP-FPM (package php-fpm)"
program=$(type -P "$program")
for_everybody
dir=
master() { pid_in "$dir/pid"; }
on_exit() {
  local pid
  for pid in $(cat ./*/pid 2>/dev/null || true); do kill "$pid" 2>/dev/null || true; done
}
cat >script.php <<'END'
<?php
$text = str_repeat("x", 5000000);
echo strlen($text), " ", exec("echo by exec"), " ", trim(shell_exec("echo by shell_exec")), " ";
$process = proc_open(["/bin/echo", "by proc_open"], [1 => ["pipe", "w"]], $pipes);
echo stream_get_contents($pipes[1]);
proc_close($process);
END

# configure DIR CHILDREN: so many of them at the start
configure() {
  dir=$1
  local pool ports=()
  mkdir "$dir"
  for _ in 1 2; do
    free_port
    ports+=("$port")
  done
  [[ ${ports[0]} != "${ports[1]}" ]] || ports[1]=$((port + 1))
  dynamic_port=${ports[0]} ondemand_port=${ports[1]}
  printf '%s\n' '[global]' "pid = $work/$dir/pid" "error_log = $work/$dir/error.log" >"$dir/conf"
  for pool in dynamic ondemand; do
    printf '%s\n' "[$pool]" "listen = 127.0.0.1:${ports[0]}" "pm = $pool" 'pm.max_children = 8' 'pm.max_requests = 3'
    ((EUID)) || printf '%s\n' 'user = www-data' 'group = www-data'
    [[ $pool == ondemand ]] || printf '%s\n' "pm.start_servers = $2" 'pm.min_spare_servers = 1' "pm.max_spare_servers = $2"
    ports=("${ports[@]:1}")
  done >>"$dir/conf"
}
start() { env "$@" "$program" -n -y "$work/$dir/conf" >"$dir/out" 2>&1 || fail "exit status $?: $(cat "$dir/out" "$dir/error.log")"; }
request() { python3 "$source_dir/tests/fixtures/fcgi.py" "$1" "$work/script.php" "$2"; }
said_times() { [[ $(grep -cE "$2" "$dir/error.log") == "$1" ]]; }
stop() {
  local pid
  pid=$(master)
  kill -QUIT "$pid"
  daemon_gone "$pid"
}

session() {
  configure "$1" 2
  shift
  start "$@"
  until_so 10 "the start" said_times 1 'ready to handle connections'
  request "$dynamic_port" 10 >"$dir/answers"
  request "$ondemand_port" 7 >>"$dir/answers"
  kill -USR2 "$(master)"
  until_so 10 "the reload" said_times 2 'ready to handle connections'
  request "$dynamic_port" 2 >>"$dir/answers"
  stop
}
# Which child served which request, and so how many were replaced, differs from run to run.
steady() { sed 's/^\[[^]]*\] //' "$1" | grep -vE 'child [0-9]+ (exited|started)|inherited|fpm is running' | neutral; }

session plain
[[ $(sort -u plain/answers) == '5000000 by exec by shell_exec by proc_open' ]] || fail "$(<plain/answers)"
for internals in 1 0; do
  name=shim$internals
  session $name LD_PRELOAD="$shim" OVCSHIM_LIBC_INTERNALS=$internals OVCSHIM_LOG="$work/$name.%c.%p.ovc"
  same plain/answers $name/answers "answers"
  same <(neutral <plain/out) <(neutral <$name/out) "messages"
  same <(steady plain/error.log) <(steady $name/error.log) "PHP-FPM's log"
  logs=("$name".*.ovc)
  ((${#logs[@]} == 1)) || fail "more than one log for a tree: ${logs[*]}"
  exits 0 ovc forks --json "${logs[0]}" >forks.json
  purposes "${logs[0]}" >list
  # It daemonizes at the start and again at the reload. Each of 19 requests starts one program by exec and two by other functions.
  finds '^2 daemonize$' list
  finds '^19 program started by PHP \(exec, system, ...\)$' list
  finds '^38 program started by a PHP script$' list
  (($(sed -n 's/ worker process$//p' list) >= 7)) || fail "workers: $(<list)"
  jq -e '[.forks[] | select(.purpose == null)] | length == 0' forks.json >/dev/null || fail "no purpose: $(<forks.json)"
  jq -e '[.forks[] | select(.purpose == "worker process" and .child.end == null)] | length == 0' forks.json >/dev/null || fail "no end: $(<forks.json)"
  finds '^[0-9]+ exited, 0$' <(end_of "${logs[0]}" "worker process")
  exits 0 ovc why "${logs[0]}" >verdicts.json
done

# Refused as by a real ENOMEM: the child for a request on demand, once. It is asked for again when somebody else connects.
configure refused 2
start LD_PRELOAD="$shim" OVCSHIM_LOG="$work/refused.ovc" OVCSHIM_INJECT='fork:error=ENOMEM:when=3'
until_so 10 "the start" said_times 1 'ready to handle connections'
exec {client}<>"/dev/tcp/127.0.0.1/$ondemand_port"
until_so 10 "a refused child" said_times 1 'fork\(\) failed: Cannot allocate memory \(12\)'
exec {client}>&-
[[ $(request "$ondemand_port" 1) == 5000000* ]] || fail "it does not serve"
stop
exits 1 ovc why --json refused.ovc >verdicts.json
jq -e '[.verdicts[] | select(.purpose == "worker process")] | length == 1 and .[0].cause == "injected"' verdicts.json >/dev/null || fail "$(jq .verdicts verdicts.json)"

# A limit that holds the command, the master and few of its children, where each has a heap of so many MiB by the allocator's padding: then
# PHP-FPM gives up.
mib=512
configure limit 8
start LD_PRELOAD="$shim" OVCSHIM_LOG="$work/limit.ovc" GLIBC_TUNABLES=glibc.malloc.top_pad=$((mib << 20)) \
  OVCSHIM_REHEARSE="$(rehearse_limit $((mib * 7 / 2)))"
until_so 10 "the end" said_times 1 'bye-bye'
finds 'fork\(\) failed: Cannot allocate memory \(12\)' limit/error.log
refusal_told limit.ovc "worker process"
nobody_left
