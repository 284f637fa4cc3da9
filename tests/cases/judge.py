#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the situations of table.py for real under the shim, asks `ovc why --json` for the cause, and compares it, and the
figures that are known exactly, with what was set. Started by run.sh, once per mode, inside overcommit.sh; results are added
to a file. At the end it reports. Exit status 1: a wrong verdict, a situation that was not as meant, or too many unknown."""
import argparse
import collections
import contextlib
import errno
import json
import mmap
import os
import pathlib
import resource
import signal
import subprocess
import sys

import groups
import table

SECONDS = int(os.environ.get("OVC_CASE_SECONDS", "20"))  # for one case
KEEPS_FREE = 256 << 20  # bytes
STEADY_KB = 2048  # of Committed_AS, from before a case to behind it
RELEASE = tuple(int(n) for n in os.uname().release.split("-")[0].split(".")[:2])
BATCH = 400  # cases between two moments when others may have the machine's setting
OPS = {"aligned_alloc", "posix_memalign", "pthread_create", "posix_spawn", "posix_spawnp", "_Fork", "thrd_create"}


OPS_BY_WORD = {"clone3": "clone", "exec": "execve", "fallocate": "posix_fallocate", "memfd": "memfd_create"}
CALLS_SINCE = {"clone3": (5, 3), "unshare-none:time": (5, 6), "unshare-full:time": (5, 6), "mremap-copy": (5, 7)}


def op_of(call):
    name = call.split(":")[0]
    first = name.split("-")[0]
    return name if name in OPS else OPS_BY_WORD.get(first, first)


def meminfo_kb(key):
    for line in open("/proc/meminfo"):
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise KeyError(key)


def kb_of(text):
    return int(text[:-1]) * {"K": 1, "M": 1 << 10, "G": 1 << 20}[text[-1]]


def compares_with_free_memory():
    """In mode 0: vendors have carried the change of 5.2 back, so that the release does not tell."""
    try:
        mmap.mmap(-1, (meminfo_kb("MemTotal") + meminfo_kb("SwapTotal")) * 1024, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError:
        return True
    return False


def left_out_because(case):
    """Why the situation cannot be made on this machine, or None."""
    row = case.row
    since = max([row.since] + [version for call, version in CALLS_SINCE.items() if case.call.startswith(call)])
    for controller in ["pids"] * bool(row.pids) + ["memory"] * row.memory:
        if not groups.parent_for(controller):
            return f"no group with the {controller} controller can be made here"
    if row.memory and groups.leaves_kernel_memory_out():
        return "this kernel charges no memory of its own to groups"
    if row.huge and not groups.unified_with_huge_pages():
        return "no control groups of version 2 with huge pages here"
    if row.cause == "pid-max" and RELEASE < (6, 14):
        return "before 6.14 pid_max is the whole machine's"
    if RELEASE < since:
        return "before {}.{} there is no such thing".format(*since)
    if row.estimate and not compares_with_free_memory():
        return "only a request over RAM and swap is refused here"
    return None


class Judge:
    def __init__(self, build, work):
        self.build, self.work = pathlib.Path(build), pathlib.Path(work)
        self.results = []

    def has_room(self):
        """For logs to be kept: those of the next cases must still find room."""
        free = os.statvfs(self.work)
        return free.f_bavail * free.f_frsize > KEEPS_FREE

    def run(self, case, number):
        """One case: (verdict on the verdict, words). What others moved meanwhile is made again."""
        for _ in range(8):
            before = meminfo_kb("Committed_AS")
            answer = self.run_once(case, number)
            moved = abs(meminfo_kb("Committed_AS") - before) >= STEADY_KB
            unsteady = case.row.cause == "commit-limit" and moved or case.row.memory and answer[0].startswith("defect")
            if answer[0] in ("right", "granted") or not unsteady:
                break
            (self.work / f"{number}.ovc").unlink(missing_ok=True)
        return answer

    def run_once(self, case, number):
        log = self.work / f"{number}.ovc"
        group = groups.HugeGroup(case.row) if case.row.huge else groups.Group(case.row)
        room_mib = (meminfo_kb("CommitLimit") - meminfo_kb("Committed_AS")) // 1024 - 100
        ram_mib = (meminfo_kb("MemTotal") + meminfo_kb("SwapTotal")) // 1024
        words, amounts = case.words(room_mib, ram_mib, group)
        many = any(word.startswith("many:") or word.endswith("-mappings") for word in words)
        room = "16M" if many else "1M"  # for a list of 65,530 mappings
        env = dict(os.environ, LD_PRELOAD=str(self.build / "libovcshim.so"), OVCSHIM_LOG=str(log), OVCSHIM_EVENTS_SIZE=room,
                   OVCSHIM_CALLS_SIZE="0")

        def prepare():
            group.join()
            with contextlib.suppress(ValueError, OSError):  # before 5.16 hard limits of 64 kB are common
                soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
                resource.setrlimit(resource.RLIMIT_MEMLOCK, (soft, resource.RLIM_INFINITY))
            if case.row.stack:
                resource.setrlimit(resource.RLIMIT_STACK, (kb_of(case.row.stack) * 1024, resource.RLIM_INFINITY))

        done = None
        try:
            done = subprocess.Popen([str(self.build / "programs/refused"), *words], env=env, preexec_fn=prepare,
                                    start_new_session=True, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE)
            stdout, stderr = done.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return "defect: no end", words
        finally:
            if done:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(done.pid, signal.SIGKILL)  # what it started
                done.wait()
            group.remove()
        if case.row.borderline and done.returncode == 1:
            return "granted", words
        if done.returncode != 0:
            return f"defect: {'granted' if done.returncode == 1 else stderr.strip() or done.returncode}", words
        said = json.loads(stdout)
        allowed = case.row.err if isinstance(case.row.err, tuple) else (case.row.err,)
        if said["errno"] not in allowed:
            return f"defect: {errno.errorcode.get(said['errno'])}", words
        why = subprocess.run([str(self.build / "ovc"), "why", "--json", str(log)], capture_output=True, text=True,
                             timeout=SECONDS)
        if why.returncode != 1:
            return f"wrong: ovc why ended with {why.returncode} {why.stderr.strip()}", words
        return self.compare(case, said, json.loads(why.stdout), amounts), words

    def compare(self, case, said, why, amounts):
        row, op = case.row, op_of(case.call)
        verdicts = [v for v in why["verdicts"] if not v["caller_coped"]]
        ours = [v for v in verdicts if v["op"] == op and (v["pid"], v["tid"]) == (said["pid"], said["tid"])]
        if len(ours) != 1:
            return f"wrong: {len(ours)} verdicts for the call"
        if len(verdicts) != 1:
            return "wrong: a verdict for " + ", ".join(v["op"] for v in verdicts if v is not ours[0])
        found = ours[0]
        if getattr(errno, found["errno"], None) != said["errno"]:  # two names can be one number
            return f"wrong: errno {found['errno']}"
        if found["cause"] != row.cause:
            if found["cause"] == "unknown" and not found["suspects"]:
                return "wrong: unknown, and no suspects"
            return "unknown" if found["cause"] == "unknown" else f"wrong: {found['cause']}"
        return self.compare_figures(case, said, found, amounts)

    def compare_figures(self, case, said, found, amounts):
        row = case.row
        for figure in found["figures"]:
            limit = said.get(figure["label"])
            if limit is not None and figure["value"] != (limit // 4096 * 4 if figure["unit"] == "kB" else limit):
                return f"wrong: {figure['label']} {figure['value']}, not {limit}"
        estimated = row.cause == "single-request-over-ram-and-swap" and compares_with_free_memory()
        if row.exact and not estimated and found["short_by"] != kb_of(amounts["over"]):
            return f"wrong: short by {found['short_by']}, not {amounts['over']}"
        charge = found["charge"]
        if charge and said["charge_kb"] >= 0 and not row.decoy and charge["kb"] != said["charge_kb"]:
            return f"wrong: charge {charge['kb']}, not {said['charge_kb']}"
        if row.cause != "commit-limit" or not found["mode2"]:
            return "right"
        short_kb = found["mode2"]["request_kb"] - said["room_kb"] - said["given_back_kb"] + 4
        if abs(found["short_by"] - short_kb) > found["error_band"]:
            return f"wrong: short by {found['short_by']}, not {short_kb}"
        if row.borderline and not found["borderline"]:
            return "wrong: not called borderline"
        return "right"


def print_table(title, results, key):
    counts = collections.defaultdict(collections.Counter)
    for result in results:
        counts[key(result)][result["answer"].split(":")[0]] += 1
    columns = ["right", "unknown", "wrong", "defect", "granted", "left out"]
    print(f"{title:34}" + "".join(f"{c:>9}" for c in ["cases"] + columns))
    for name in sorted(counts):
        print(f"{name:34}" + "".join(f"{n:9}" for n in [counts[name].total()] + [counts[name][c] for c in columns]))
    total = sum(counts.values(), collections.Counter())
    print(f"{'all':34}" + "".join(f"{n:9}" for n in [total.total()] + [total[c] for c in columns]) + "\n")
    return total


def report(path):
    results = [json.loads(line) for line in open(path)]
    print_table("cause", results, lambda r: r["cause"])
    print_table("call", results, lambda r: r["op"])
    total = print_table("mode", results, lambda r: f"mode {r['mode']}")
    for r in results:
        if r["answer"] not in ("right", "granted"):
            print(f"{r['answer']} (set: {r['cause']}): mode {r['mode']}: refused {' '.join(r['words'])}")
    print(f"{sum(r['decoy'] for r in results)} of {total.total()} with another limit near or passed as well")
    bad = total["wrong"] or total["defect"] or total["unknown"] * 100 > total.total()
    return 1 if bad else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=0, help="0: each row with each call once")
    parser.add_argument("--batches", action="store_true", help="print how many batches there are")
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--mode", type=int, help="run the batch's cases of this mode; else report")
    parser.add_argument("--only", default="", help="run only cases whose cause or call contains this")
    parser.add_argument("--slice", default="1/1", help="I/N: of each N cases the Ith")
    parser.add_argument("--keep", action="store_true", help="keep the logs")
    parser.add_argument("--logs", default=".", help="folder for the logs")
    parser.add_argument("--results", default="results")
    options = parser.parse_args()
    cases = list(enumerate(table.all_cases(options.seed, options.count)))
    if options.batches:
        print(-(-len(cases) // BATCH))
        return
    if options.mode is None:
        sys.exit(report(options.results))
    turn, of = (int(n) for n in options.slice.split("/"))
    judge = Judge(os.environ["OVC_BUILD"], options.logs)
    with open(options.results, "a") as results:
        for number, case in cases[options.batch * BATCH :][:BATCH]:
            if case.mode != options.mode or options.only not in f"{case.row.cause} {case.call}" or number % of != turn - 1:
                continue
            pathlib.Path("/proc/sys/vm/overcommit_memory").write_text(str(case.mode))
            why_not = left_out_because(case)
            answer, words = (f"left out: {why_not}", []) if why_not else judge.run(case, number)
            log = judge.work / f"{number}.ovc"
            if not options.keep or not judge.has_room():
                log.unlink(missing_ok=True)
            result = {"answer": answer, "cause": case.row.cause, "op": op_of(case.call), "mode": case.mode, "words": words}
            results.write(json.dumps(result | {"decoy": case.is_decoy(), "number": number}) + "\n")
            results.flush()


if __name__ == "__main__":
    main()
