#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# gunicorn with sync workers: recycled by --max-requests, killed by --timeout, renewed by HUP, one killed from outside. Answers and
# messages are those of a run without the shim; each worker is a fork with a purpose, its end is known; with its workers refused
# (by the kernel, by a rehearsal) gunicorn says the same, and why they were refused is told.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/servers.sh"
command -v gunicorn >/dev/null || skip "gunicorn is not installed"
on_exit() { server_stop KILL; }

cat >app.py <<'END'
import mmap, os, time
if "PROMISED_MIB" in os.environ:  # promised, never touched
    promised = mmap.mmap(-1, int(os.environ["PROMISED_MIB"]) << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/hang": time.sleep(60)
    body = {"/pid": str(os.getpid()), "/parent": str(os.getppid())}.get(path, "hello " + path).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
END
ask() { curl -s --max-time 20 "http://127.0.0.1:$port$1" || echo "no answer"; }
said() { grep -q "$1" "$dir/err"; }
workers() { cat "/proc/$server_pid/task/$server_pid/children" 2>/dev/null; }
has_workers() { (($(workers | wc -w) == $1)); }
renewed() { [[ $(workers) != *"$1"* ]] && has_workers 2; }

start() {
  dir=$1
  shift
  mkdir "$dir"
  free_port
  server_start "$dir/out" env PYTHONDONTWRITEBYTECODE=1 "$@" gunicorn --workers 2 --bind "127.0.0.1:$port" --error-logfile "$dir/err" \
    --graceful-timeout 5 --timeout 2 --max-requests 4 --preload app:app
}
session() {
  local worker
  start "$@"
  until_so 20 "two workers" has_workers 2
  until_so 20 "an answer" answers "$port"
  for i in {1..20}; do ask "/$i"; done >"$dir/answers"
  [[ $(ask /parent) == "$server_pid" ]] || fail "whose child"
  until_so 20 "two workers after recycling" has_workers 2
  worker=$(ask /pid)
  kill -9 "$worker"
  until_so 20 "another worker for the one killed" renewed "$worker"
  ask /hang >>"$dir/answers"
  until_so 20 "the end of a worker that hung" said 'WORKER TIMEOUT'
  until_so 20 "two workers after the timeout" has_workers 2
  worker=$(workers)
  kill -HUP "$server_pid"
  until_so 20 "the first new worker after HUP" renewed "${worker%% *}"
  until_so 20 "both new workers after HUP" has_workers 2
  ask /end >>"$dir/answers"
  server_stop TERM
  echo "$server_status" >>"$dir/answers"
}
# Pids and times vary by themselves. A worker that ends while the arbiter is just writing a line makes Python's logging refuse the line in
# its signal handler ("reentrant call"), which it tells at length. A worker that is told to end before its handlers are set is ended by the signal.
neutral() { sed -E '/^--- Logging error ---$/,/^Arguments: /d; s/^\[[^]]*\] \[[0-9]+\] //; s/pid:? ?[0-9]+/pid N/; s/\([0-9]+\)/(N)/g; s/(127[.]0[.]0[.]1):[0-9]+/\1:N/g; /^ *$/d; /due to signal 15$|was sent SIGTERM!$/d' "$1" | sort -u; }
session plain
for internals in 1 0; do
  session shim$internals LD_PRELOAD="$shim" OVCSHIM_LOG="$work/shim$internals.ovc" OVCSHIM_LIBC_INTERNALS=$internals
  for file in answers out; do same plain/$file shim$internals/$file "$file"; done
  same <(neutral plain/err) <(neutral shim$internals/err) "gunicorn's messages"
  forks_told shim$internals.ovc >purposes
  finds '^[0-9]+ os.fork$' purposes
  born=$(grep -c 'Booting worker' shim$internals/err)
  [[ $(<purposes) == "$born os.fork" ]] || fail "$born workers, but $(<purposes)"
  jq -r '.forks[].child.end' shim$internals.ovc.forks | sort | uniq -c >ends
  # The one that was killed and the one that hung and was aborted.
  [[ $(awk '/SIGKILL/ { n += $1 } END { print n + 0 }' ends) -ge 1 ]] || fail "$(<ends)"
done

# Refused at the first worker. The first child of the shell becomes the namespace's init and ends; nobody can be born there any more.
no_init() { unshare --pid bash -c 'true & wait; exec "$@"' - "$@"; }
refused() {
  start "$@"
  until_so 20 "the end of gunicorn without workers" is_gone "$server_pid"
  server_stop TERM
  echo "$server_status" >>"$dir/out"
}
promised_mib=2048
refused rehearsed PROMISED_MIB=$promised_mib LD_PRELOAD="$shim" OVCSHIM_LOG="$work/rehearsed.ovc" OVCSHIM_REHEARSE="$(rehearse_limit $((promised_mib * 3 / 2)))"
finds 'Cannot allocate memory' <(cat rehearsed/out rehearsed/err)
refusal_told rehearsed.ovc os.fork
# What the kernel refuses reads the same, with the shim and without.
no_init true 2>/dev/null || skip "no pid namespaces here: a refusal by the kernel was not tried"
dead=(no_init env PYTHONDONTWRITEBYTECODE=1 gunicorn --workers 2 --bind "127.0.0.1:$port" --preload app:app)
exits 255 "${dead[@]}" >plain.dead 2>&1
exits 255 env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/dead.ovc" bash -c "$(declare -f no_init); $(printf '%q ' "${dead[@]}")" >shim.dead 2>&1
same <(neutral plain.dead) <(neutral shim.dead) "gunicorn refused by the kernel"
same <(neutral plain.dead) <(neutral rehearsed/err) "gunicorn refused by the kernel (-) and by the rehearsal (+)"
exits 1 ovc why --json dead.ovc >verdict
[[ $(jq -r '.verdicts[] | [.purpose, .cause] | join(" ")' verdict) == 'os.fork pidns-init-dead' ]] || fail "$(<verdict)"
nobody_left
