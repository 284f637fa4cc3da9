#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# memcached with threads, in the foreground and as a daemon: the same answers as without the shim to clients that set, get,
# append, increment and fill it past its limit at once; ends by SIGTERM; its one fork has its purpose, and
# refused by the kernel (in a pid namespace whose init is gone) it says what it says without the shim, and why it was is told.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/servers.sh"
command -v memcached >/dev/null || skip "memcached is not installed"
on_exit() {
  server_stop TERM
  [[ ! -s daemon.pid ]] || kill "$(<daemon.pid)" 2>/dev/null || true
}
user=()
((EUID != 0)) || user=(-u root)

# Four clients at once, each with keys of its own; the answers in the order of the clients. The last one asks what was evicted.
cat >client.py <<'END'
import hashlib, socket, sys, threading
port, answers = int(sys.argv[1]), {}
def talk(number):
    s = socket.create_connection(("127.0.0.1", port)); f = s.makefile("rwb"); told = hashlib.sha256()
    def ask(line, data=None, lines=1):
        f.write(line.encode() + b"\r\n" + (data + b"\r\n" if data is not None else b"")); f.flush()
        for _ in range(lines): told.update(f.readline())
    for i in range(500):
        value = (b"%d-%d " % (number, i)) * (i % 100)
        ask("set k%d-%d 0 0 %d" % (number, i, len(value)), value)
        ask("append k%d-%d 0 0 3" % (number, i), b"end")
        ask("get k%d-%d" % (number, i), lines=3)
        if i % 3 == 0: ask("delete k%d-%d" % (number, i))
    ask("set n%d 0 0 2" % number, b"41"); ask("incr n%d 1" % number); ask("get nothing"); ask("nonsense")
    answers[number] = told.hexdigest()
threads = [threading.Thread(target=talk, args=(n,)) for n in range(4)]
for t in threads: t.start()
for t in threads: t.join()
for n in sorted(answers): print(n, answers[n])
s = socket.create_connection(("127.0.0.1", port)); f = s.makefile("rwb")
for i in range(100):  # 40 MB into 16
    f.write(b"set big%d 0 0 400000\r\n" % i + b"x" * 400000 + b"\r\n"); f.flush(); print(f.readline().decode().strip())
f.write(b"stats\r\nversion\r\n"); f.flush()
for line in f:
    words = line.decode().split()
    if words[:1] == ["STAT"] and words[1] in ("threads", "limit_maxbytes", "cmd_get", "cmd_set", "get_hits", "get_misses", "delete_hits", "incr_hits", "evictions"): print(*words)
    if words[:1] == ["VERSION"]: print(*words); break
END
used() { python3 client.py "$port" >"$1" || fail "the client of $1"; }

foreground() {
  local dir=$1
  shift
  mkdir "$dir"
  free_port
  server_start "$dir/out" env "$@" memcached "${user[@]}" -l 127.0.0.1 -p "$port" -U 0 -t 4 -m 16
  until_so 10 "memcached" answers "$port"
  used "$dir/answers"
  awk '/^Threads:/ { print $2 }' "/proc/$server_pid/status" >>"$dir/answers"
  server_stop TERM
  echo "$server_status" >"$dir/status"
}
background() {
  local dir=$1
  shift
  free_port
  env "$@" memcached "${user[@]}" -d -l 127.0.0.1 -p "$port" -U 0 -t 4 -m 16 -P "$work/daemon.pid" >"$dir/daemon.out" 2>&1 </dev/null ||
    fail "memcached -d: $?"
  until_so 10 "the daemon" answers "$port"
  until_so 10 "the pid file" test -s daemon.pid
  used "$dir/daemon.answers"
  kill "$(<daemon.pid)"
  until_so 10 "the daemon's end" is_gone "$(<daemon.pid)"
  rm -f daemon.pid
}
foreground plain
background plain
for internals in 1 0; do
  dir=shim$internals
  vars=(LD_PRELOAD="$shim" OVCSHIM_LIBC_INTERNALS="$internals")
  foreground $dir "${vars[@]}" OVCSHIM_LOG="$work/foreground$internals.ovc"
  background $dir "${vars[@]}" OVCSHIM_LOG="$work/daemon$internals.ovc"
  for file in out answers status daemon.out daemon.answers; do same plain/$file $dir/$file "$file"; done
  [[ $(ovc forks foreground$internals.ovc) == 'no fork recorded' ]] || fail "forks in the foreground"
  # All four threads and memcached's own beside them.
  (($(ovc show --json --op pthread_create foreground$internals.ovc | wc -l) >= 4)) || fail "threads"
  forks_told daemon$internals.ovc >purposes
  same purposes - <<<'1 daemonize'
  exits 0 ovc why daemon$internals.ovc >verdict
done

# A real refusal: the first child of the shell becomes the namespace's init and ends; nobody can be born there any more.
no_init() { unshare --pid bash -c 'true & wait; exec "$@"' - "$@"; }
no_init true 2>/dev/null || skip "no pid namespaces here: the refusal was not tried"
refused() {
  local file=$1 status=0
  shift
  no_init env "$@" memcached "${user[@]}" -d -l 127.0.0.1 -p "$port" -U 0 -m 16 >"$file" 2>&1 </dev/null || status=$?
  echo "exit status $status" >>"$file"
}
refused plain.refused
finds '^failed to daemon' plain.refused
refused shim.refused LD_PRELOAD="$shim" OVCSHIM_LOG="$work/refused.ovc"
same plain.refused shim.refused "memcached refused"
exits 1 ovc why --json refused.ovc >verdict
[[ $(jq -r '.verdicts[] | [.purpose, .cause, .errno] | join(" ")' verdict) == 'daemonize pidns-init-dead ENOMEM' ]] || fail "$(<verdict)"
refused injected.refused LD_PRELOAD="$shim" OVCSHIM_LOG="$work/injected.ovc" OVCSHIM_INJECT=fork:error=ENOMEM
same plain.refused injected.refused "memcached refused by injection"
nobody_left
