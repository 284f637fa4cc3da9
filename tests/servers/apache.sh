#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Apache httpd, prefork and event, in the background: pages, CGI programs, workers replaced after a few connections and by a graceful
# restart are as without the shim; the log, also of workers of another user, names each fork; refused workers are told and explained.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/servers.sh"
. "$source_dir/tests/fixtures/daemons.sh"
PATH=$PATH:/usr/sbin
program=$(type -P apache2) || skip "no Apache (package apache2)"
modules=/usr/lib/apache2/modules
for_everybody
dir=
master() { pid_in "$dir/pid"; }
on_exit() {
  local pid
  for pid in $(cat ./*/pid 2>/dev/null || true); do kill "$pid" 2>/dev/null || true; done
}

# configure DIR MPM DIRECTIVE...
configure() {
  dir=$1
  local mpm=$2 cgi=cgi module
  [[ $mpm == prefork ]] || cgi=cgid
  shift 2
  mkdir -p "$dir/htdocs" "$dir/cgi"
  echo hello >"$dir/htdocs/index.html"
  seq 20000 >"$dir/htdocs/big.html"
  cat >"$dir/cgi/c" <<'END'
#!/bin/sh
echo Content-type: text/plain
echo
echo "$QUERY_STRING $(/bin/echo nested) ${LD_PRELOAD-not preloaded}"
END
  chmod 755 "$dir/cgi/c"
  free_port
  {
    cat <<END
ServerRoot $work/$dir
ServerName localhost
PidFile $work/$dir/pid
DefaultRuntimeDir $work/$dir
ErrorLog $work/$dir/error.log
DocumentRoot $work/$dir/htdocs
Listen 127.0.0.1:$port
END
    for module in "mpm_$mpm" authz_core alias dir "$cgi"; do echo "LoadModule ${module}_module $modules/mod_$module.so"; done
    ((EUID)) || printf 'User www-data\nGroup www-data\n'
    [[ $cgi == cgi ]] || echo "ScriptSock $work/$dir/cgid"
    printf '%s\n' "ScriptAlias /cgi/ $work/$dir/cgi/" "DirectoryIndex index.html" "<Directory $work/$dir>" "Require all granted" "</Directory>" "$@"
  } >"$dir/conf"
}
start() { env "$@" "$program" -f "$work/$dir/conf" -k start >"$dir/out" 2>&1 || fail "exit status $?: $(<"$dir/out" cat - "$dir/error.log")"; }
said_times() { [[ $(grep -cE "$2" "$dir/error.log") == "$1" ]]; }
stop() {
  local pid
  pid=$(master)
  kill -TERM "$pid"
  daemon_gone "$pid"
}

session() {
  local mpm=$2 i
  configure "$1" "$mpm" 'StartServers 1' 'MaxConnectionsPerChild 4' 'ServerLimit 4' \
    "$([[ $mpm == prefork ]] && printf '%s\n' 'MinSpareServers 1' 'MaxSpareServers 1' 'MaxRequestWorkers 2' ||
      printf '%s\n' 'ThreadsPerChild 2' 'MinSpareThreads 1' 'MaxSpareThreads 4' 'MaxRequestWorkers 4')"
  shift 2
  start "$@"
  until_so 10 "the start" said_times 1 'resuming normal operations'
  {
    for i in {1..10}; do fetch "$port" /; done
    fetch "$port" /big.html | cksum
    for i in {1..3}; do fetch "$port" "/cgi/c?$i"; done
    fetch "$port" /nothing | grep -c 404
  } >"$dir/answers"
  kill -USR1 "$(master)"
  until_so 10 "the graceful restart" said_times 2 'resuming normal operations'
  { fetch "$port" /; fetch "$port" '/cgi/c?after'; } >>"$dir/answers"
  stop
}

for mpm in prefork event; do
  session plain-$mpm $mpm
  for internals in 1 0; do
    name=shim$internals-$mpm
    session $name $mpm LD_PRELOAD="$shim" OVCSHIM_LIBC_INTERNALS=$internals OVCSHIM_LOG="$work/$name.%c.%p.ovc"
    for what in answers out error.log; do same <(neutral <plain-$mpm/$what) <(neutral <$name/$what) "$what of $name"; done
    logs=("$name".*.ovc)
    ((${#logs[@]} == 1)) || fail "more than one log for a tree: ${logs[*]}"
    exits 0 ovc forks --json "${logs[0]}" >forks.json
    purposes "${logs[0]}" >list
    finds '^1 daemonize$' list
    finds '^4 CGI program$' list
    [[ $mpm == prefork ]] || finds '^2 CGI daemon$' list
    (($(sed -n 's/ worker process$//p' list) >= 4)) || fail "workers: $(<list)"
    # CGI programs get an environment of Apache's making: what they are is told, what they do is not known.
    jq -e --arg path "$work/$name/cgi/c" '[.forks[] | select(.purpose == "CGI program") | .child] | length == 4 and
      all(.unseen_program == {program: $path, why: "it was started without LD_PRELOAD=libovcshim.so"})' forks.json >/dev/null || fail "CGI: $(<forks.json)"
    # The CGI daemon has its children's ends ignored.
    jq -e '[.forks[] | select(.purpose == null or (.child.end == null and .purpose != "CGI program"))] | length == 0' forks.json >/dev/null ||
      fail "no purpose or no end: $(<forks.json)"
    [[ $(end_of "${logs[0]}" "worker process") == *"exited, 0" ]] || fail "workers: $(end_of "${logs[0]}" "worker process")"
    exits 0 ovc why "${logs[0]}" >verdicts.json
    # What workers do as another user is in the log.
    exits 0 ovc show --json --op exit,_exit "${logs[0]}" >ends
    workers=$(jq '[.forks[] | select(.purpose == "worker process") | .child.pid]' forks.json)
    [[ $(jq -s --argjson workers "$workers" '[.[] | select(.pid | IN($workers[]))] | length' ends) == $(jq length <<<"$workers") ]] ||
      fail "the ends of the workers are not in the log"
  done
done

for mpm in prefork event; do
  number=AH00159
  [[ $mpm == prefork ]] || number=AH00481
  refused="$number: fork: Unable to fork new process"
  # Once, as by a real ENOMEM; Apache goes on a second later.
  configure refused-$mpm $mpm 'StartServers 2' 'ServerLimit 2' 'MaxRequestWorkers 2' "$([[ $mpm == prefork ]] || echo ThreadsPerChild 1)"
  start LD_PRELOAD="$shim" OVCSHIM_LOG="$work/refused-$mpm.ovc" OVCSHIM_INJECT="fork:error=ENOMEM:when=2"
  until_so 10 "a refused fork" said_times 1 "\(12\)Cannot allocate memory: .*$refused"
  until_so 10 "an answer" answers "$port"
  stop
  exits 1 ovc why --json refused-$mpm.ovc >verdicts.json
  jq -e '.verdicts | length == 1 and .[0].cause == "injected" and .[0].purpose == "worker process"' verdicts.json >/dev/null || fail "$(jq .verdicts verdicts.json)"
done

# A limit that holds the master and what it starts first, where each has a heap of so many MiB by the allocator's padding.
mib=512
configure limit prefork 'StartServers 8' 'ServerLimit 8' 'MaxRequestWorkers 8'
start LD_PRELOAD="$shim" OVCSHIM_LOG="$work/limit.ovc" GLIBC_TUNABLES=glibc.malloc.top_pad=$((mib << 20)) \
  OVCSHIM_REHEARSE="$(rehearse_limit $((mib * 7 / 2)))"
until_so 10 "a refused worker" finds_quietly "\(12\)Cannot allocate memory: .*AH00159: fork: Unable to fork new process" limit/error.log
[[ $(fetch "$port" /) == hello ]] || fail "the workers that it has do not serve"
stop
refusal_told limit.ovc "worker process"
nobody_left
