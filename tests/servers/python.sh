#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Python's ways to have children: multiprocessing by fork, spawn and forkserver, subprocess by vfork and by fork, posix_spawn,
# os.system, os.popen, forkpty, and os.fork while other threads allocate. The program prints what it prints without the shim; each
# child is a fork with a purpose and an end. Refused by the kernel and by a rehearsal, Python says the same.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/servers.sh"
python=/usr/bin/python3
[[ -x $python ]] || skip "no $python"

cat >ways.py <<'END'
import concurrent.futures, multiprocessing, os, pty, signal, subprocess, sys, threading

def square(x): return x * x
def die(how): os.kill(os.getpid(), how)
def status(pid): return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def by_multiprocessing():
    for method in "fork", "spawn", "forkserver":
        context = multiprocessing.get_context(method)
        with context.Pool(3) as pool:
            print(method, pool.map(square, range(20)))
        queue = context.SimpleQueue()
        children = [context.Process(target=queue.put, args=(i,)) for i in range(3)]
        for c in children: c.start()
        print(method, sorted(queue.get() for c in children))
        for c in children: c.join()
        victim = context.Process(target=die, args=(signal.SIGTERM,)); victim.start(); victim.join()
        print(method, [c.exitcode for c in children], victim.exitcode)
    with concurrent.futures.ProcessPoolExecutor(2) as executor:
        print("executor", list(executor.map(square, range(5))))

def by_subprocess():
    run = subprocess.run
    print("vfork", run(["sh", "-c", "echo $0; exit 3", "x"], stdout=subprocess.PIPE).stdout, run(["false"]).returncode)
    print("fork", run(["sh", "-c", "exit 4"], preexec_fn=lambda: None).returncode)
    print("session", run("exit 5", shell=True, start_new_session=True).returncode)
    for close in True, False:
        try: run(["/nowhere/program"], close_fds=close)
        except OSError as error: print("missing", error)
    print("pipes", run(["tr", "a-z", "A-Z"], input=b"pipes", stdout=subprocess.PIPE).stdout)
    try: run(["sleep", "60"], timeout=0.2)
    except subprocess.TimeoutExpired as error: print("timed out", error.cmd)
    print("many", sum(p.wait() for p in [subprocess.Popen(["sh", "-c", "exit %d" % i]) for i in range(20)]))

def by_os():
    print("posix_spawn", status(os.posix_spawn("/bin/sh", ["sh", "-c", "exit 6"], os.environ)))
    print("posix_spawnp", status(os.posix_spawnp("sh", ["sh", "-c", "exit 7"], {"PATH": "/bin"})))
    print("system", os.waitstatus_to_exitcode(os.system("exit 11")))
    print("popen", os.popen("echo popen").read().strip())
    pid = os.fork()
    if pid == 0: os._exit(8)
    print("fork", status(pid))
    pid = os.fork()
    if pid == 0: os.execv("/bin/sh", ["sh", "-c", "exit 9"])
    print("fork and exec", status(pid))
    pid, terminal = pty.fork()
    if pid == 0: os._exit(10)
    print("forkpty", status(pid))
    os.close(terminal)  # not before: its hang-up would end the child

def with_threads():
    stop = threading.Event()
    def busy():
        while not stop.is_set(): bytearray(200000); [str(i) for i in range(100)]
    threads = [threading.Thread(target=busy) for _ in range(4)]
    for t in threads: t.start()
    ends = []
    for i in range(50):
        pid = os.fork()
        if pid == 0:
            bytearray(1000000)
            os._exit(i)
        ends.append(status(pid))
    stop.set()
    for t in threads: t.join()
    print("threads", ends == list(range(50)))

def refused():
    import mmap
    promised = mmap.mmap(-1, 2 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    def tried(name, call):
        try: print(name, call())
        except OSError as error: print(name, error)
        except RuntimeError as error: print(name, "RuntimeError", error)
    def child():
        pid = os.fork()
        if pid == 0: os._exit(0)
        return status(pid)
    tried("os.fork", child)
    tried("preexec_fn", lambda: subprocess.run(["true"], preexec_fn=lambda: None).returncode)
    tried("multiprocessing", lambda: multiprocessing.get_context("fork").Process(target=print).start())
    if sys.argv[2:]: return
    tried("subprocess", lambda: subprocess.run(["true"]).returncode)
    tried("posix_spawn", lambda: status(os.posix_spawn("/bin/true", ["true"], os.environ)))
    tried("system", lambda: os.system("true"))

if __name__ == "__main__":
    if sys.argv[1] == "refused": sys.exit(refused())
    for part in sys.argv[1:]: globals()[part](); sys.stdout.flush()
END
ways=("$python" -W ignore::DeprecationWarning ways.py by_multiprocessing by_subprocess by_os with_threads)
run() {
  local name=$1
  shift
  env PYTHONDONTWRITEBYTECODE=1 "$@" >"$name.out" 2>"$name.err" </dev/null || fail "$name: exit status $?"
}
run plain "${ways[@]}"
for internals in 1 0; do
  run shim$internals LD_PRELOAD="$shim" OVCSHIM_LOG="$work/shim$internals.ovc" OVCSHIM_LIBC_INTERNALS=$internals "${ways[@]}"
  same plain.out shim$internals.out "what the program prints"
  same plain.err shim$internals.err "messages"
  nobody_left  # forkserver and the resource tracker end after the program
  forks_told shim$internals.ovc | cut -d' ' -f2- | sort >purposes
  same purposes - <<<$'os.fork\nos.forkpty\nos.posix_spawn\nos.system\nsubprocess'
  exits 1 ovc why --json shim$internals.ovc >verdict  # the children that were killed; nothing was refused
  [[ $(jq '.verdicts | length' verdict) == 0 ]] || fail "refused: $(<verdict)"
done

# Where every copy of its memory would break the limit; then where the kernel lets nobody be born: the first child of the shell
# becomes the init of a pid namespace and ends.
run rehearsed LD_PRELOAD="$shim" OVCSHIM_LOG="$work/rehearsed.ovc" OVCSHIM_REHEARSE="$(rehearse_limit 3072)" "$python" ways.py refused copies
same rehearsed.out - <<'END'
os.fork [Errno 12] Cannot allocate memory
preexec_fn [Errno 12] Cannot allocate memory
multiprocessing [Errno 12] Cannot allocate memory
END
refusal_told rehearsed.ovc os.fork
refusal_told rehearsed.ovc subprocess 1
unshare --pid true 2>/dev/null || skip "no pid namespaces here: refusals by the kernel were not tried"
dead=(unshare --pid bash -c 'true & wait; exec "$@"' - "$python" ways.py refused)
run plain.dead "${dead[@]}"
for internals in 1 0; do
  run shim.dead LD_PRELOAD="$shim" OVCSHIM_LOG="$work/dead$internals.ovc" OVCSHIM_LIBC_INTERNALS=$internals "${dead[@]}"
  same plain.dead.out shim.dead.out "what Python says of refusals"
  same plain.dead.err shim.dead.err "messages at refusals"
  exits 1 ovc why --json dead$internals.ovc >verdict
  jq -r '.verdicts[] | [.op, .purpose, .cause] | join(" ")' verdict | sort -u >causes
  same causes - <<'END'
fork os.fork pidns-init-dead
fork subprocess pidns-init-dead
posix_spawn os.posix_spawn pidns-init-dead
system os.system pidns-init-dead
vfork subprocess pidns-init-dead
END
done
nobody_left
