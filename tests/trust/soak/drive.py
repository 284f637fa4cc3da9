# SPDX-License-Identifier: MIT
"""A soak: redis-server under a fixed load saves every second while limits come and go, `ovc follow` is attached the whole time, and the
other commands read the log now and then. What was done and what was told is gathered for judge.py.
  drive.py SECONDS FOLDER      with OVC_SOURCE and OVC_BUILD in the environment; status 1 with a finding"""
import json
import os
import random
import re
import resource
import select
import shutil
import socket
import subprocess
import sys
import threading
import time

import judge

SOURCE, BUILD = os.environ["OVC_SOURCE"], os.environ["OVC_BUILD"]
OVC = os.path.join(BUILD, "ovc")
OVERCOMMIT = os.path.join(SOURCE, "tests/fixtures/overcommit.sh")
CYCLE = 20  # seconds: in each of them every limit is set for a while
HOLD_EACH, LOOK_EACH = CYCLE, CYCLE
REQUESTS_PER_SECOND, BATCH = 2000, 20
EVENTS_KB, CALLS_KB = 256, 256  # of the first a quarter is kept for forks and failures
SLOT_BYTES, CALL_BYTES = 128, 16


class Redis:
    """A connection; commands are lists of words."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")

    def send(self, commands):
        text = b""
        for words in commands:
            words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
            text += b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        self.socket.sendall(text)

    def answer(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("redis-server has closed the connection")
        if line[:1] != b"$":
            return line[:-2].decode()
        size = int(line[1:])
        return "" if size < 0 else self.file.read(size + 2)[:-2].decode(errors="replace")

    def ask(self, *words):
        self.send([words])
        return self.answer()


class Load(threading.Thread):
    """SET and GET at a fixed rate over a fixed set of keys, so that the server's memory does not grow by itself."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.redis, self.ends, self.requests, self.problem = Redis(port), False, 0, None
        self.random = random.Random(1)

    def command(self):
        n = self.random.randrange(1000)
        if self.random.random() < 0.05:
            return ["SET", f"large{n % 20}", b"x" * self.random.choice((130_000, 160_000, 200_000))]
        if n % 2:
            return ["SET", f"small{n}", b"x" * (100 + n * 4)]
        return ["STRLEN", f"small{n + 1}"]

    def run(self):
        due = time.monotonic()
        try:
            for n in range(1000):
                self.redis.ask("SET", f"small{n}", b"x" * 4000)
            while not self.ends:
                self.redis.send([self.command() for _ in range(BATCH)])
                for _ in range(BATCH):
                    self.redis.answer()
                self.requests += BATCH
                due = max(due + BATCH / REQUESTS_PER_SECOND, time.monotonic() - 1)
                time.sleep(max(due - time.monotonic(), 0))
        except OSError as error:
            self.problem = str(error)


class CommitLimit:
    """Mode 2 with a limit that the server's fork passes, for a moment at a time: the fixture holds the machine's lock for as long."""

    def __init__(self):
        self.process, self.reason = None, None

    def ask(self):
        # In the child, its standard input is a pipe whose end means to let go.
        self.process = subprocess.Popen([OVERCOMMIT, "2", "+1100M", "--", "sh", "-c", "echo held; read -r _; true"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def asked(self):
        return self.process is not None

    def held(self):
        """True once the limit is set. Somebody else may hold the lock: nobody waits for it here."""
        if self.process is None or not select.select([self.process.stdout], [], [], 0)[0]:
            return False
        line = self.process.stdout.readline().strip()
        if line == "held":
            return True
        self.reason = line or "the fixture has ended"
        self.process.communicate()
        self.process = None
        return False

    def let_go(self):
        if self.process is None:
            return
        process, self.process = self.process, None
        process.communicate("\n")
        if process.returncode != 0:
            raise RuntimeError(f"overcommit.sh ends with {process.returncode}")


def overcommit_mode():
    with open("/proc/sys/vm/overcommit_memory") as file:
        return int(file.read())


def status_kb(pid):
    with open(f"/proc/{pid}/status") as file:
        return {line.split(":")[0]: int(line.split()[1]) for line in file if line.rstrip().endswith(" kB") or line.startswith("Threads")}


def shim_and_log_kb(pid, log):
    """Private memory of the shim, what of its mappings counts in the commit limit, and what is resident of the log."""
    private = charge = resident = 0
    path, size = "", 0
    with open(f"/proc/{pid}/smaps") as file:
        for line in file:
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                path = line.split(maxsplit=5)[5].strip() if len(line.split()) > 5 else ""
                continue
            key, value = line.split(":")[0], line.split()[1]
            if key == "Size":
                size = int(value)
            if path.endswith("/libovcshim.so"):
                private += int(value) if key.startswith("Private_") and value.isdigit() else 0
                charge += size if key == "VmFlags" and " ac" in line else 0
            if path == log and key == "Rss":
                resident += int(value)
    return private, charge, resident


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def told(command, *arguments):
    result = subprocess.run([OVC, command, *arguments], capture_output=True, text=True)
    if result.returncode not in (0, 1):
        raise RuntimeError(f"ovc {command}: {result.stderr}")
    return result.stdout


class Soak:
    def __init__(self, seconds, folder):
        self.seconds, self.folder = seconds, os.path.realpath(folder)
        self.home = os.path.join(self.folder, "server")
        self.log = os.path.join(self.home, "soak.ovc")
        self.truth, self.grows, self.samples, self.looks = [], [], [], []
        self.log_read = 0

    # --- the programs

    def own_user(self):
        """RLIMIT_NPROC does not bind root: a user of its own, whom nobody else is."""
        if os.getuid() != 0:
            return {}
        uid = 61000 + os.getpid() % 1000
        os.chmod(self.folder, 0o711)
        os.chown(self.home, uid, uid)
        return {"user": uid, "group": uid, "extra_groups": []}

    def start(self):
        os.makedirs(self.home)
        for name in ("libovcshim.so", "programs/forker", "trust/libballast.so"):
            shutil.copy(os.path.join(BUILD, name), self.home)
        self.user = user = self.own_user()
        hard = {"nproc": resource.getrlimit(resource.RLIMIT_NPROC)[1], "as": resource.getrlimit(resource.RLIMIT_AS)[1]}
        self.hard_limits = {name: "unlimited" if value == resource.RLIM_INFINITY else str(value) for name, value in hard.items()}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        shim = os.path.join(self.home, "libovcshim.so")
        variables = os.environ | {"OVCSHIM_EVENTS_SIZE": f"{EVENTS_KB}K", "OVCSHIM_CALLS_SIZE": f"{CALLS_KB}K", "OVCSHIM_LOG": self.log}
        server = variables | {"LD_PRELOAD": f"{shim}:{self.home}/libballast.so"}
        self.output = open(os.path.join(self.folder, "output"), "wb")
        self.server_log = os.path.join(self.home, "redis.log")
        self.server = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.home, "--logfile", self.server_log,
             "--save", "", "--stop-writes-on-bgsave-error", "no"],
            env=server, stdout=self.output, stderr=self.output, stdin=subprocess.DEVNULL, cwd=self.home, **user)
        self.redis = self.connect()
        self.forker = subprocess.Popen([f"{self.home}/forker", "ac=1024"], env=variables | {"LD_PRELOAD": shim}, text=True, cwd=self.home,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.output, **user)
        if self.forker.stdout.readline() != "ready\n":
            raise RuntimeError("forker does not start")
        self.follow_lines = open(os.path.join(self.folder, "follow.json"), "w+")
        self.follow = subprocess.Popen([OVC, "follow", "--json", "--interval", "0.2", "-n", "100000", self.log], stdout=self.follow_lines,
                                       stderr=self.output)
        self.load = Load(self.port)
        self.load.start()

    def connect(self):
        end = time.monotonic() + 60
        while True:
            try:
                return Redis(self.port)
            except OSError:
                if self.server.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("redis-server does not start") from None
                time.sleep(0.05)

    def stop(self):
        self.load.ends = True
        self.load.join(60)
        self.follow_cpu = cpu_seconds(self.follow.pid)
        self.redis.send([["SHUTDOWN", "NOSAVE"]])
        self.server.wait(60)
        self.forker.stdin.write("end\n")
        self.forker.stdin.close()
        self.forker.wait(60)
        self.follow_status = self.follow.wait(60)

    def kill(self):
        for name in ("server", "forker", "follow"):
            process = getattr(self, name, None)
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()

    # --- what is done

    def new_log_lines(self):
        with open(self.server_log) as file:
            file.seek(self.log_read)
            text = file.read()
        self.log_read += len(text.encode())
        return text

    def set_limit(self, pid, name, soft):
        """As the owner of the process, which needs no privilege; "unlimited" is as much as its hard limit allows."""
        if soft == "unlimited":
            soft = self.hard_limits[name]
        subprocess.run(["prlimit", "--pid", str(pid), f"--{name}={soft}:"], check=True, **self.user)

    def save(self, limit):
        self.new_log_lines()
        mode = overcommit_mode()
        before = time.time()
        answer = self.redis.ask("BGSAVE")
        after = time.time()
        modes = {mode, overcommit_mode()}
        text = self.new_log_lines()
        save = {"before": before, "after": after, "limit": limit, "refused": not answer.startswith("+")}
        # Another user of the fixture may have set mode 2 meanwhile: the machine is asked, not the plan.
        save["foreign"] = limit != "commit-limit" and 2 in modes
        if save["refused"]:
            match = re.search(r"Can't save in background: fork: (.*)", text)
            save["errno"] = {os.strerror(12): "ENOMEM", os.strerror(11): "EAGAIN"}.get(match and match[1], f"? {answer} {text}")
            save["cause"] = limit or "commit-limit"
            if save["foreign"]:
                save["cause"] = "commit-limit" if save["errno"] == "ENOMEM" else "rlimit-nproc"
        else:
            match = re.search(r"Background saving started by pid (\d+)", text)
            save["child"] = int(match[1]) if match else None
        self.truth.append(save)
        end = time.monotonic() + 60
        while "rdb_bgsave_in_progress:1" in self.redis.ask("INFO", "persistence"):
            if time.monotonic() > end:
                raise RuntimeError("a save does not end")
            time.sleep(0.02)

    def save_without_tasks(self):
        self.set_limit(self.server.pid, "nproc", "1")
        self.save("rlimit-nproc")
        self.set_limit(self.server.pid, "nproc", "unlimited")

    def grow_without_space(self):
        size = status_kb(self.forker.pid)["VmSize"] * 1024
        self.set_limit(self.forker.pid, "as", str(size + (1 << 20)))
        begun = time.time()
        self.forker.stdin.write("grow 65536\n")
        self.forker.stdin.flush()
        answer = self.forker.stdout.readline().strip()
        self.grows.append({"before": begun, "after": time.time(), "answer": answer})
        self.set_limit(self.forker.pid, "as", "unlimited")

    def sample(self):
        private, charge, resident = shim_and_log_kb(self.server.pid, self.log)
        server, follow = status_kb(self.server.pid), status_kb(self.follow.pid)
        self.samples.append({
            "server_fds": len(os.listdir(f"/proc/{self.server.pid}/fd")), "server_threads": server["Threads"],
            "server_anonymous_kb": server["RssAnon"], "server_data_kb": server["VmData"],
            "shim_private_kb": private, "shim_charge_kb": charge, "log_resident_kb": resident,
            "follow_fds": len(os.listdir(f"/proc/{self.follow.pid}/fd")), "follow_anonymous_kb": follow["RssAnon"],
            "follow_resident_kb": follow["VmRSS"], "follow_data_kb": follow["VmData"], "log_bytes": os.stat(self.log).st_size})

    def look(self):
        forks = json.loads(told("forks", "--json", self.log))
        stats = json.loads(told("stats", "--json", "-n", "0", self.log))
        why = json.loads(told("why", "--json", self.log))
        mine = [fork for fork in forks["forks"] if fork["pid"] == self.server.pid and fork["call"] == "fork"]
        calls = next(p for p in stats["processes"] if p["pid"] == self.server.pid)["totals"]["calls"]
        self.stats = stats
        self.looks.append({
            "saves": len(self.truth),
            "forks": [{"failed": fork["failed"], "child": (fork.get("child") or {}).get("pid"), "errno": fork.get("errno"),
                       "end": (fork.get("child") or {}).get("end")} for fork in mine],
            "causes": {str(position): verdict["cause"] for verdict in why["verdicts"] if verdict["pid"] == self.server.pid and
                       verdict["op"] == "fork" for position in verdict["positions"]},
            "fork_calls": calls["fork"]["calls"], "fork_failed": calls["fork"]["failed"], "lost": stats["lost"]})

    def run(self):
        begun = time.monotonic()
        limit, hold_until = CommitLimit(), None
        next_hold, next_look, n = begun + 5, begun + LOOK_EACH, 0
        try:
            while (now := time.monotonic()) < begun + self.seconds:
                if self.load.problem or self.follow.poll() is not None:
                    raise RuntimeError(f"the load: {self.load.problem}, follow: {self.follow.poll()}")
                if not limit.asked() and now >= next_hold and limit.reason is None:
                    limit.ask()
                    next_hold = now + HOLD_EACH
                if hold_until is None and limit.held():
                    hold_until = now + 2.5
                if hold_until is not None and now >= hold_until:
                    limit.let_go()
                    hold_until = None
                if hold_until is not None:
                    self.save("commit-limit")
                elif limit.asked():  # the limit is set above what is promised now: no child that counts in it
                    pass
                elif n % 4 == 3:
                    self.save_without_tasks()
                else:
                    self.save(None)
                if n % 5 == 4 and hold_until is None and not limit.asked():
                    self.grow_without_space()
                if now >= next_look and hold_until is None:
                    self.look()
                    next_look = now + LOOK_EACH
                self.sample()
                n += 1
                time.sleep(max(min(now + 1, begun + self.seconds) - time.monotonic(), 0))
        finally:
            limit.let_go()
        self.look()
        self.ran, self.without_commit_limit = time.monotonic() - begun, limit.reason

    def gathered(self):
        self.follow_lines.seek(0)
        with open(self.output.name) as file:
            messages = file.read()
        lost = self.stats["lost"]
        wraps = {"calls": lost["calls_overwritten"] * CALL_BYTES / (CALLS_KB << 10),
                 "events": lost["event_slots_overwritten"] * SLOT_BYTES / (EVENTS_KB * 768),
                 "vitals": lost["vital_slots_overwritten"] * SLOT_BYTES / (EVENTS_KB * 256)}
        calls = sum(call["calls"] for p in self.stats["processes"] for call in p["totals"]["calls"].values())
        return {"seconds": self.ran, "server_pid": self.server.pid, "forker_pid": self.forker.pid, "truth": self.truth, "grows": self.grows,
                "samples": self.samples, "looks": self.looks, "wraps": wraps, "calls": calls, "requests": self.load.requests,
                "follow": [json.loads(line) for line in self.follow_lines], "follow_status": self.follow_status,
                "follow_cpu": 100 * self.follow_cpu / self.ran, "messages": messages,
                "without_commit_limit": self.without_commit_limit}


def main():
    soak = Soak(float(sys.argv[1]), sys.argv[2])
    try:
        soak.start()
        soak.run()
        soak.stop()
    finally:
        soak.kill()
    gathered = soak.gathered()
    with open(os.path.join(sys.argv[2], "gathered.json"), "w") as file:
        json.dump(gathered, file)
    return judge.report(gathered)


if __name__ == "__main__":
    sys.exit(main())
