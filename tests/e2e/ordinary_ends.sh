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

seq 100000 >numbers
printf '0\n0\n0\n0\n' >words
# shellcheck disable=SC2016 # Tcl's
printf 'exec true\nset p [open "|echo a"]\ngets $p\nclose $p\n' >calls.tcl
printf 'int a;\n' >source.c
printf '%s\n' '#include <stdexcept>' '#include <thread>' 'int main() { std::thread t([] { try { throw 1; } catch (int) {} }); t.join(); }' >throws.cc
touch out
tar cJf a.txz out
mkdir -p none/DEBIAN
printf 'Package: none\nVersion: 1\nArchitecture: all\nMaintainer: none <n@example.org>\nDescription: none\n' >none/DEBIAN/control
! type -P dpkg-deb >/dev/null || dpkg-deb -b none none.deb >/dev/null
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
  # They first make children only to kill them, to see what the kernel lets them do.
  ! strace -o /dev/null true 2>/dev/null || ends_well 0 strace -f -o /dev/null sh -c '/bin/true; :'
  ! strace -o /dev/null true 2>/dev/null || ends_well 0 gdb -nx -batch -ex run "$(type -P true)"
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
  ends_well 0 zsh -c 'x=$(echo a | cat); (exit 2); sleep 0 & wait; true'
  ends_well 0 fish -c 'echo a | cat; sleep 0 &; wait; true'
  ends_well 0 mksh -c 'x=$(echo a); sleep 0 & wait'
  ends_well 0 busybox sh -c 'x=$(echo a | busybox cat); busybox true & wait'
  ends_well 0 tclsh calls.tcl
  ends_well 0 lua5.4 -e 'local p = io.popen("echo a"); p:read("a"); p:close(); os.execute("true")'
  ends_well 0 sqlite3 :memory: 'create table t(a); insert into t values (1);' '.system true'
  ends_well 0 openssl speed -seconds 1 -multi 2 md5
  ends_well 0 openssl enc -aes-256-cbc -pbkdf2 -k x -in /dev/null -out encrypted
  ends_well 0 tar czf a.tgz out
  ends_well 0 tar tJf a.txz
  ends_well 0 sort --parallel=4 -S 1M -o sorted numbers
  ends_well 0 split -l 1000 --filter='cat >/dev/null' numbers
  ends_well 0 xargs -P 4 -n 1 -a words sleep
  ends_well 0 find . -maxdepth 1 -name 'numbers' -exec cat '{}' +
  ends_well 0 rsync -a numbers copied
  ends_well 0 script -qec true typescript
  ends_well 0 expect -c 'spawn true; expect eof; wait'
  ends_well 0 cmake -E time true
  ends_well 0 dpkg-deb --fsys-tarfile none.deb
  ends_well 0 ldd /bin/true
  ends_well 0 man -w man
  ends_well 0 flock lock true
  ends_well 0 prlimit --nofile=100 true
  ends_well 0 taskset 1 true
  ends_well 0 stdbuf -o0 true
  ends_well 0 setpriv --nnp true
  ends_well 0 curl -s file:///dev/null
  ends_well 0 bc -q words
  ends_well 0 psql --version
  ends_well 0 npm --version
  ends_well 0 perl -Mthreads -e 'threads->create(sub { 1 })->join for 1..3'
  ends_well 0 perl -MPOSIX -e 'my $p = fork; POSIX::_exit(0) unless $p; waitpid $p, 0; open my $h, "-|", "echo a"; <$h>; close $h'
  ends_well 0 python3 -c 'import asyncio
async def main():
    p = await asyncio.create_subprocess_exec("true"); await p.wait()
asyncio.run(main())'
  ends_well 0 python3 -c 'import concurrent.futures as f
if __name__ == "__main__":
    with f.ProcessPoolExecutor(2) as pool: print(list(pool.map(abs, [-1, 2])))'
  ends_well 0 python3 -c 'import os, pty, signal
pid, fd = pty.fork()
if pid == 0: os.execlp("true", "true")
os.waitpid(pid, 0); signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if os.fork() == 0: os._exit(0)'
  ends_well 0 ruby -e 'r, w = IO.pipe; Process.wait(spawn("true")); IO.popen("echo a", &:read); Process.daemon(true, true)'
  ends_well 0 node -e 'const { spawn } = require("child_process"); spawn("true").on("exit", () => process.exit(0))'
  ends_well 0 clang -x c -c -o a.o source.c
  ends_well 0 g++ -fno-lto -x c++ -o thrown throws.cc
  ends_well 0 ./thrown
  ends_well 0 systemd-run --version
  ends_well 0 chromium --headless --no-sandbox --disable-gpu --user-data-dir="$work/profile" --dump-dom about:blank
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

free_port
stops_well python-http TERM python3 -c 'import http.server as h, signal, sys
signal.signal(signal.SIGTERM, lambda *a: sys.exit(0))
h.HTTPServer(("127.0.0.1", int(sys.argv[1])), h.SimpleHTTPRequestHandler).serve_forever()' "$port"
free_port
stops_well node-http TERM node -e "process.on('SIGTERM', () => process.exit(0)); require('net').createServer().listen($port, '127.0.0.1')"

# ---- exits that the shim cannot see ----
# unseen LOG WHY: no finding; an end without a record is said with its reason, once
unseen() {
  exits 0 ovc why "$1" >"$1.why"
  (($(grep -c 'no exit recorded' "$1.why") == 1)) || { cat "$1.why" >&3; fail "not one end without a record: $1"; }
  finds "$2" "$1.why"
}
if type -P go >/dev/null; then
  printf 'package main\n\nimport "os"\n\nfunc main() { os.Exit(3) }\n' >leaves.go
  printf 'package main\n\n// static int one(void) { return 1; }\nimport "C"\n\nfunc main() { _ = C.one() }\n' >calls_c.go
  GOCACHE=$work/go GOFLAGS=-mod=mod go build -o go-leaves leaves.go
  if GOCACHE=$work/go CGO_ENABLED=1 go build -o go-calls-c calls_c.go 2>/dev/null; then
    exits 0 under go.ovc ./go-calls-c
    unseen go.ovc 'Go program'
    exits 0 under go-child.ovc bash -c './go-calls-c; true'
    calm go-child.ovc "a Go child"
  fi
  # Static: it leaves no record at all
  # shellcheck disable=SC2016
  exits 3 under go-static.ovc bash -c '"$PWD/go-leaves"; exit $?'
  calm go-static.ovc "a static Go child"
  [[ $(head -n 1 go-static.ovc.why) == "not seen: $work/go-leaves "* ]] || { cat go-static.ovc.why >&3; fail "a Go program is not said to be unseen"; }
else
  missing+=(go)
fi

# A libc of its own: what it starts is said to be unseen, before anything is said of the rest
cat >elsewhere.c <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <spawn.h>
#include <sys/wait.h>
extern char** environ;
int main(void) {
  void* libc = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW);
  int (*spawn)(pid_t*, const char*, const posix_spawn_file_actions_t*, const posix_spawnattr_t*, char* const*, char* const*) =
      libc ? (__typeof__(spawn))dlsym(libc, "posix_spawn") : 0;
  char name[] = "true";
  char* words[] = {name, 0};
  pid_t child;
  int status = 0;
  if (!spawn || spawn(&child, "/bin/true", 0, 0, words, environ)) return 3;
  return waitpid(child, &status, 0) == child ? status : 3;
}
END
if type -P gcc >/dev/null && gcc -o elsewhere elsewhere.c -ldl; then
  exits 0 under elsewhere.ovc ./elsewhere
  calm elsewhere.ovc "a program with a second libc"
  [[ $(head -n 1 elsewhere.ovc.why) == "not seen: "* ]] || { cat elsewhere.ovc.why >&3; fail "code with a libc of its own is not said to be unseen"; }
fi

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
  finds '^  asked by +main ' told
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
  # and where nobody recorded waited for timeout(1)
  under timeout.2.ovc timeout 20 ./aborts 2>/dev/null || (($? == 134))
  exits 1 ovc why timeout.2.ovc >told
  (($(grep -cE '^[a-z]+ \(pid [0-9]+\)' told) == 1)) || { cat told >&3; fail "one end is told more than once"; }
  finds 'timeout \(pid [0-9]+\), which waited for it' told
  # V8's own limit is no refusal
  if type -P node >/dev/null; then
    under heap.ovc node --max-old-space-size=20 -e 'for (const a = [];;) a.push(new Array(1e4).fill(1.5))' >/dev/null 2>&1 || (($? == 134))
    exits 1 ovc why heap.ovc >told
    finds 'FatalProcessOutOfMemory' told
    finds 'V8 met the limit of its own heap' told
  fi
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
