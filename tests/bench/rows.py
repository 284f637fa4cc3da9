# SPDX-License-Identifier: MIT
"""The goals: each row names what is compared, how, and the bound. A row is (work, figure, unit, bound, formula); the formula gets
a function of (case, side, metric) that gives the best of all rounds, and then one that gives the median."""


def overhead(case, metric="wall", side="recorded"):
    return lambda v: v(case, side, metric) - v(case, "native", metric)


def overhead_of_peer(case, peer):
    return lambda v: overhead(case)(v) / overhead(case, side=peer)(v)


def ratio(case, metric):
    return lambda v: v(case, "recorded", metric) / v(case, "native", metric)


def joined(case, metric):
    return lambda v: v(case, "joined", metric) / v(case, "native", metric)


def slowdown(case, metric):  # of a rate
    return lambda v: v(case, "native", metric) / v(case, "recorded", metric)


def of_one_thread(threads):
    return lambda v: v("pair.%d" % threads, "recorded", "cpu") / v("pair.1", "recorded", "cpu")


GOALS = [
    ("malloc+free, 1 thread, all recorded", "overhead / LTTng-UST's", "", 0.04, overhead_of_peer("pair.1", "lttng")),
    ("", "overhead / memusage's", "", 0.4, overhead_of_peer("pair.1", "memusage")),
    ("", "overhead / the limit program", "", 1.3, lambda v: overhead("pair.1")(v) / v("pair.1", "limit", "wall")),
    ("malloc+free, 2 threads", "overhead / LTTng-UST's", "", 0.04, overhead_of_peer("pair.2", "lttng")),
    ("", "overhead / memusage's", "", 0.4, overhead_of_peer("pair.2", "memusage")),
]
for n in (2, 4, 16, 64):
    GOALS.append(("malloc+free, %d threads" % n, "CPU time a pair / one thread's", "", 1.1, of_one_thread(n)))
for n in (1000, 4096):
    GOALS.append(("malloc+free, %d threads" % n, "CPU time a pair / one thread's", "", 1.5, of_one_thread(n)))
for n in ("calloc", "realloc", "memalign"):
    GOALS.append((n + "+free", "overhead / LTTng-UST's", "", 0.04, overhead_of_peer(n, "lttng")))
GOALS += [
    ("mmap+munmap", "overhead an event", "ns", 2000, lambda v: overhead("mmap")(v) / 2),
    ("mmap+munmap, 16 frames", "overhead an event", "ns", 2000, lambda v: overhead("mmap.16frames")(v) / 2),
]
for how in ("plain", "pipelined"):
    for command in ("set", "get", "lpush", "zadd"):
        GOALS.append(("redis %s%s" % (command.upper(), ", pipelined" if how == "pipelined" else ""), "CPU time a request / native",
                      "", 1.03, ratio("redis", command + "." + how)))
for command in ("set", "get", "lpush", "zadd"):
    GOALS.append(("redis " + command.upper(), "p99 latency / native", "", 1.02, ratio("redis", command + ".plain.p99")))
GOALS += [
    ("pgbench, select only", "native TPS / recorded", "", 1.02, slowdown("pgbench", "tps")),
    ("", "CPU time a transaction / native", "", 1.02, ratio("pgbench", "cpu")),
    ("memcached set, get", "native rate / recorded", "", 1.02, slowdown("memcached", "rate")),
    ("", "p99 latency / native", "", 1.02, ratio("memcached", "p99")),
    ("", "CPU time a request / native", "", 1.02, ratio("memcached", "cpu")),
    ("fork, 2 GiB resident", "time of fork() / native", "", 1.01, ratio("fork.2048", "fork")),
    ("fork, 8 GiB resident", "time of fork() / native", "", 1.01, ratio("fork.8192", "fork")),
    ("fork, a small process", "fork() takes longer by", "us", None, overhead("fork.0", "fork")),
    ("", "fork, _exit and wait take longer by", "us", None, overhead("fork.0", "all")),
    ("a storm of refused mmap", "a call takes longer by", "us", 20, overhead("storm.0", "rest")),
    ("", "the slowest after the first, 60,000 mappings", "ms", 5, lambda v: v("storm.60000", "recorded", "slowest") / 1e3),
    ("a refused mmap, 60,000 mappings", "its proof / reading smaps once", "", 1.2,
     lambda v: overhead("storm.60000", "first")(v) / v("storm.60000", "recorded", "smaps")),
    ("a refused fork, 60,000 mappings", "its proof / reading smaps once", "", 1.2,
     lambda v: overhead("refused.60000", "fork")(v) / v("refused.60000", "recorded", "smaps")),
    ("start of `true`, new log", "longer by", "ms", 3, overhead("start")),
    ("start of `true`, log joined", "longer by", "ms", 3, overhead("start", side="joined")),
    ("a new log's first 1.9 million malloc+free", "overhead / memusage's", "", 0.35,
     lambda v: overhead("pair.first", "cpu")(v) / overhead("pair.1", "cpu", "memusage")(v)),
]
for n, bound in (("true", 1.25), ("bash", 1.2), ("perl", 1.2), ("git", 1.15), ("python3", 1.05), ("node", 1.15), ("java", 1.1), ("cc1", 1.05),
                 ("cc1plus", 1.05)):
    GOALS.append(({"true": "`true`", "bash": "`bash -c :`", "perl": "`perl -e 1`", "git": "`git status`", "python3": "`python3 -c pass`",
                   "node": "`node -e 0`", "java": "`java -version`", "cc1": "cc1, a small C file", "cc1plus": "cc1plus, iostream and map"}[n],
                  "wall time, log joined / native", "", bound, joined("short", n + ".wall")))
GOALS += [
    ("`true`", "resident memory more", "kB", 1000, lambda v: v("short", "joined", "true.rss") - v("short", "native", "true.rss")),
    ("`python3 -c pass`", "resident memory more", "kB", None, lambda v: v("short", "joined", "python3.rss") - v("short", "native", "python3.rss")),
    ("bash, a loop of /bin/true", "wall time / native", "", 1.2, joined("many", "loop")),
    ("bash, a loop of $(echo)", "wall time / native", "", 1.1, joined("many", "echo")),
    ("make -j2 of 200 C files", "wall time / native", "", 1.03, joined("many", "make")),
    ("pgbench -C, a connection each", "native rate / recorded", "", 1.03, slowdown("pgbench", "connections")),
    ("16 malloc+free while the log's disk is written to", "99.99 % are quicker than, / native", "", 1, ratio("stall", "p9999")),
    ("", "the longest / native", "", 1, ratio("stall", "max")),
    ("the same, the log on tmpfs", "99.99 % are quicker than, / native", "", 1, lambda v: v("stall", "tmpfs", "p9999") / v("stall", "native", "p9999")),
    ("", "the longest / native", "", 1, lambda v: v("stall", "tmpfs", "max") / v("stall", "native", "max")),
    ("`ovc stats`, 1 GiB log", "s for 50 million records", "s", 1,
     lambda v: v("log.1024", "stats", "wall") / 1e3 / v("log.1024", "stats", "records") * 50e6),
    ("`ovc show`, text", "s of CPU for 5 million lines", "s", 1,
     lambda v: v("log.64", "show", "cpu") / 1e3 / v("log.64", "show", "lines") * 5e6),
    ("`ovc why`, full default log", "time", "ms", 100, lambda v: v("log.64", "why", "wall")),
    ("memory of `ovc stats`, mapped log included", "1 GiB log / 64 MiB log", "", 1.1, lambda v: v("log.1024", "stats", "rss") / v("log.64", "stats", "rss")),
    ("memory of `ovc why`, mapped log included", "1 GiB log / 64 MiB log", "", 1.1, lambda v: v("log.1024", "why", "rss") / v("log.64", "why", "rss")),
    ("memory of `ovc show`, mapped log included", "256 MiB log / 64 MiB log", "", 1.1, lambda v: v("log.256", "show", "rss") / v("log.64", "show", "rss")),
]

# malloc+free pair: the sides in the table, with what they keep of a call.
TOOLS = [
    ("native", "native", "nothing"),
    ("recorded", "ovcshim", "every call: size, address, result, caller, time"),
    ("counted", "ovcshim, call lane off", "exact counts and size histogram"),
    ("limit", "limit program", "TSC and 16 bytes stored, twice; no malloc"),
    ("memusage", "glibc memusage", "sums and size histogram; the last 32768 calls with size and time"),
    ("lttng", "LTTng-UST libc wrapper, overwrite mode", "every call: size, address, time"),
    ("heaptrack", "heaptrack", "every call with its stack, no time"),
    ("uftrace", "uftrace", "every call with duration, no arguments"),
    ("bpftrace", "bpftrace uprobes", "counts"),
    ("ltrace", "ltrace", "every call with arguments and result"),
    ("strace", "strace", "system calls only: does not see malloc"),
]

# Natively and recorded: (work, metric, unit, [cases with their name])
PAIRS = [
    ("malloc+free", "cpu", "ns", [("pair.%d" % n, "%d threads" % n if n > 1 else "1 thread") for n in (1, 2, 4, 16, 64)]),
    ("malloc+free, 1 thread", "cpu", "ns", [("pair.first", "first lap of a new log")]),
    ("other calls, a pair", "wall", "ns", [(n, n + "+free") for n in ("calloc", "realloc", "memalign")] +
     [("mmap", "mmap+munmap"), ("mmap.16frames", "mmap+munmap, 16 frames")]),
    ("fork()", "fork", "us", [("fork.0", "small process"), ("fork.2048", "2 GiB resident"), ("fork.8192", "8 GiB resident")]),
    ("fork, _exit, wait", "all", "us", [("fork.0", "small process"), ("fork.2048", "2 GiB resident"), ("fork.8192", "8 GiB resident")]),
    ("start of `true`", "wall", "ms", [("start", "new log")]),
]
