#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Programs that end well, in whichever way: nothing is a finding, no end is doubted, `ovc why` exits with 0. Of those installed here,
# each with a log of its own: shells, interpreters, compilers, programs that fork, daemonize, limit and pass on, and servers that are
# asked to stop. Then ends that are no exits: told for what they are, once.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/servers.sh"
PATH=$PATH:/usr/sbin
on_exit() { server_stop KILL; }
tried=0 missing=()

# calm LOG NAME: no finding, nothing about an end
calm() {
  local status=0
  ovc why "$1" >"$1.why" || status=$?
  ((status == 0)) || { cat "$1.why" >&3; fail "$2: ovc why exits with $status"; }
  ! grep -E 'no exit recorded|killed by|abort|refused with|without saying' "$1.why" >&3 || fail "$2: an end is doubted"
  tried=$((tried + 1))
}
# ends_well STATUS PROGRAM ARGUMENT...
ends_well() {
  local wanted=$1 status=0 log=$tried.ovc
  shift
  type -P "$1" >/dev/null || { missing+=("$1"); return 0; }
  under "$log" "$@" >out 2>&1 </dev/null || status=$?
  ((status == wanted)) || { cat out >&3; fail "exit status $status, not $wanted: $*"; }
  calm "$log" "$*"
}
# stops_well NAME SIGNAL CMD...: a server that answers on $port, then is asked to stop
stops_well() {
  local name=$1 signal=$2 log=$tried.ovc
  shift 2
  type -P "$1" >/dev/null || { missing+=("$name"); return 0; }
  server_start "$name.out" env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/$log" "$@"
  until_so 30 "$name" answers "$port"
  server_stop "$signal"
  calm "$log" "$name"
}

# shellcheck disable=SC2016
{
  ends_well 0 bash -c 'x=$(echo a | tr a b); (exit 3); [ $? = 3 ]; coproc cat; exec {COPROC[1]}>&-; wait; no-such-program 2>/dev/null; true'
  ends_well 3 bash -c 'trap "exit 3" TERM; kill $$; sleep 5'
  ends_well 0 dash -c 'x=$(echo a); /bin/true & wait; echo $x'
  ends_well 5 sh -c 'exec sh -c "exit 5"'
  ends_well 0 perl -e 'for (1..3) { if (!fork) { exit 0 } } wait for 1..3; system "true"; my $x = `echo a`; exec "true"'
  ends_well 0 python3 -c 'import os, subprocess, threading, ctypes
t = threading.Thread(target=lambda: None); t.start(); t.join()
subprocess.run(["true"]); os.system("true"); os.waitpid(os.spawnlp(os.P_NOWAIT, "true", "true"), 0)
p = os.fork()
if p == 0: os._exit(3)
os.waitpid(p, 0)
try: os.execvp("no-such-program", ["x"])
except OSError: pass'
  ends_well 0 python3 -c 'import multiprocessing as m
if __name__ == "__main__": print(m.get_context("fork").Pool(2).map(abs, [-1, 2]))'
  ends_well 0 node -e 'require("child_process").execSync("true"); new (require("worker_threads").Worker)("1", { eval: true })'
  ends_well 0 ruby -e 'Process.wait(fork { exit! 0 }); `true`; Thread.new {}.join'
  ends_well 0 php -n -r 'exec("true"); $p = proc_open(["true"], [], $q); proc_close($p);'
  ends_well 0 gcc -x c -c -o a.o - -v
  ends_well 0 git --version
  ends_well 0 git -c init.defaultBranch=x init -q repository
  ends_well 0 git -C repository status
  ends_well 124 timeout 0.1 sleep 20
  ends_well 0 timeout 20 true
  ends_well 0 setsid -w true
  ends_well 0 nohup true
  ends_well 0 env nice true
  ends_well 0 xargs true
  ends_well 0 find . -maxdepth 0 -exec true ';'
  ends_well 0 awk 'BEGIN { "echo a" | getline x; system("true"); exit 0 }'
  ends_well 0 sed -n 1p /dev/null
  ends_well 0 tar cf a.tar out
  ends_well 1 grep -q nothing /dev/null
  ends_well 0 daemonizes "$work/status"
}
printf 'all:\n\t@true; /bin/true\n' >Makefile
ends_well 0 make -s
if type -P javac java >/dev/null; then
  echo 'class A { public static void main(String[] a) throws Exception { new ProcessBuilder("true").start().waitFor(); System.exit(4); } }' >A.java
  ends_well 0 javac A.java
  ends_well 4 java -Xmx64m A
fi

free_port
stops_well redis TERM redis-server --port "$port" --bind 127.0.0.1 --save '' --dir "$work"
free_port
stops_well memcached TERM memcached -l 127.0.0.1 -p "$port" -u "$(id -un)"
free_port
printf 'def app(e, s):\n    s("200 OK", [])\n    return [b""]\n' >app.py
stops_well gunicorn TERM gunicorn --workers 2 --bind "127.0.0.1:$port" app:app
free_port
mkdir -p nginx
printf '%s\n' "pid $work/nginx/pid; error_log $work/nginx/log; events {} http { access_log off; server { listen 127.0.0.1:$port; } }" >nginx.conf
stops_well nginx QUIT nginx -p "$work/nginx" -c "$work/nginx.conf" -g 'daemon off; user root;'
free_port
printf '%s\n' "[global]" "error_log = $work/fpm.log" "[www]" "user = $(id -un)" "listen = 127.0.0.1:$port" "pm = static" "pm.max_children = 2" >fpm.conf
stops_well php-fpm QUIT "$(compgen -c php-fpm | head -1)" -F -R -n -y "$work/fpm.conf"

# ---- ends that are no exits ----
# abort() is told once, by its own name, whoever waited for it; what passes the end on is no second one.
cat >aborts.c <<'END'
#include <stdlib.h>
#include <sys/resource.h>
int main(void) {
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  abort();
}
END
if type -P gcc >/dev/null; then
  gcc -o aborts aborts.c
  exits 134 under abort.ovc bash -c './aborts; exit $?' 2>/dev/null
  exits 1 ovc why abort.ovc >told
  (($(grep -cE 'abort|SIGABRT' told) == 1)) || { cat told >&3; fail "abort() is not told once"; }
  finds '^aborts \(pid [0-9]+\) called abort\(\)' told
  # What libc aborts itself is known from the parent's wait
  printf '#include <assert.h>\n#include <stdlib.h>\nint main(int n, char** v) { assert(n == 9); return v != 0; }\n' >asserts.c
  gcc -o asserts asserts.c
  exits 134 under assert.ovc bash -c 'ulimit -c 0; ./asserts; exit $?' 2>/dev/null
  exits 1 ovc why assert.ovc >told
  finds '^asserts \(pid [0-9]+\) (aborted \(SIGABRT\)|called abort\(\))' told
  # timeout(1) ends itself by the signal that its child died of: one event
  under timeout.ovc bash -c 'timeout 20 ./aborts; exit 0' 2>/dev/null
  exits 1 ovc why timeout.ovc >told
  (($(grep -cE '^[a-z]+ \(pid [0-9]+\)' told) == 1)) || { cat told >&3; fail "one end is told more than once"; }
  # Nobody was told of the signal: the end is not recorded, and nothing is concluded from that
  printf '#include <unistd.h>\nint main(void) { if (write(1, "x", 1)) pause(); }\n' >waits.c
  gcc -o waits waits.c
  mkfifo begun
  LD_PRELOAD=$shim OVCSHIM_LOG=$work/term.ovc ./waits >begun &
  waiting=$!
  read -r -n 1 _ <begun
  kill "$waiting"
  wait "$waiting" || true
  exits 0 ovc why term.ovc >told
  finds '^waits \(pid [0-9]+\): no exit recorded' told
  printf '#include <stdlib.h>\nint main(void) { quick_exit(0); }\n' >quick.c
  gcc -o quick quick.c
  ends_well 0 ./quick
  exits 0 ovc show --op quick_exit "$((tried - 1)).ovc" >shown
  finds 'quick_exit\(0\)' shown
  # libc's own checks abort through no function of the shim's: its code tells, where it has the known shape
  if under inside.ovc bash -c 'ulimit -c 0; exec ./asserts' 2>/dev/null || (($? == 134)); then
    status=0
    ovc why inside.ovc >told || status=$?
    finds '^asserts \(pid [0-9]+\)(: no exit recorded| called abort\(\))' told
  fi
  # A program that the loader gives no shim: said first, and "nothing was refused" is said of the others only
  printf 'int main(void) { return 0; }\n' >static.c
  if gcc -static -o static static.c 2>/dev/null; then
    # shellcheck disable=SC2016
    exits 0 under static.ovc bash -c '"$PWD/static"; true'
    exits 0 ovc why static.ovc >told
    [[ $(head -n 1 told) == "not seen: $work/static (pid "*"static binary"* ]] || { cat told >&3; fail "what was not seen is not said first"; }
    finds '^nothing was refused .* in what was seen: .*\(bash' told
  fi
  # SIGSYS: the shim's own calls are suspects
  # shellcheck disable=SC2016
  exits 0 under sys.ovc bash -c 'ulimit -c 0; (kill -SYS $BASHPID); exit 0' 2>/dev/null
  exits 1 ovc why sys.ovc >told
  finds 'killed by SIGSYS' told
  finds 'OVCSHIM=0' told
fi
((${#missing[@]} == 0)) || echo "not installed here: ${missing[*]}"
echo "$tried programs ended well"
