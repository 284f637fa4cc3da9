# SPDX-License-Identifier: MIT
"""The benchmark's table: python3 table.py FOLDER, where run.sh has put its samples. Markdown on standard output."""
import sys

import rows
from samples import Samples


def figure(value):
    if value >= 1e6:
        return "%.3g million" % (value / 1e6)
    if value >= 100:
        return "{:,.0f}".format(value)
    return "%.1f" % value if abs(value) >= 10 else "%.3f" % value


def table(head, body):
    yield "| " + " | ".join(head) + " |"
    yield "|" + " --- |" * len(head)
    for line in body:
        yield "| " + " | ".join(line) + " |"
    yield ""


def verdict(best, median, bound):
    if bound is None:
        return "-"
    met = [value <= bound for value in (best, median)]
    return "yes" if all(met) else "no" if not any(met) else "best only" if met[0] else "median only"


def noise(samples, formula):
    """The same figure of native against native again, best and median, where that was measured."""
    compared = False

    def again(value):
        def of(case, side, metric):
            nonlocal compared
            compared = compared or side == "recorded"
            return value(case, "again" if side == "recorded" else side, metric)
        return of

    try:
        figures = " / ".join(figure(formula(again(value))) for value in (samples.best, samples.median))
    except KeyError:
        return ""
    return figures if compared else ""


def goals(samples):
    work = ""
    for named, what, unit, bound, formula in rows.GOALS:
        work = named or work
        try:
            best, median = formula(samples.best), formula(samples.median)
        except (KeyError, ZeroDivisionError):  # not measured; the reason stands in the table of tools
            yield [work, what, "not measured", "", "", "", ""]
            continue
        unit = " " + unit if unit else ""
        limit = "-" if bound is None else "<= %s%s" % ("{:,}".format(bound), unit)
        yield [work, what, figure(best) + unit, figure(median) + unit, noise(samples, formula), limit, verdict(best, median, bound)]


def tools(samples):
    for side, name, keeps in rows.TOOLS:
        if not samples.has("pair.1", side, "wall"):
            yield [name, keeps, samples.reasons.get(("pair.1", side), "not measured"), "", "", ""]
            continue
        best, median = samples.best("pair.1", side, "wall"), samples.median("pair.1", side, "wall")
        over = share = ""
        if side not in ("native", "limit", "strace"):
            over = median - samples.median("pair.1", "native", "wall")
            own = samples.median("pair.1", "recorded", "wall") - samples.median("pair.1", "native", "wall")
            share = "%.3g" % (own / over) if side not in ("recorded", "counted") else ""
            over = figure(over)
        yield [name, keeps, figure(best), figure(median), over, share]


def both_sides(samples, case, metric, unit, name):
    values = [f(case, side, metric) for side in ("native", "recorded") for f in (samples.best, samples.median)]
    ratios = ["%.3f" % (values[i + 2] / values[i]) if values[i] else "-" for i in (0, 1)]
    return [name, *[figure(value) for value in values], unit, *ratios]


def pairs(samples):
    for work, metric, unit, cases in rows.PAIRS:
        for case, name in cases:
            if samples.has(case, "native", metric) and samples.has(case, "recorded", metric):
                yield both_sides(samples, case, metric, unit, "%s, %s" % (work, name))
    units = {"tps": "TPS", "rate": "requests/s", "p99": "us"}
    for case, side, metric in samples.values:
        if case in ("redis", "pgbench", "memcached") and side == "native" and samples.has(case, "recorded", metric):
            unit = units.get(metric, "ms" if metric.endswith("p99") else "us CPU" if case == "pgbench" else "ns CPU")
            yield both_sides(samples, case, metric, unit, "%s %s" % (case, metric.replace(".", " ")))


def growth(samples):
    kinds = [("children.", "fork", "a fork of a process with %s children, us"),
             ("children.", "cpu", "a pair in %s children at once, ns CPU"),
             ("mappings.", "fork", "a fork with %s mappings, us"), ("refused.", "fork", "a refused fork with %s mappings, us")]
    for prefix, metric, what in kinds:
        for case in dict.fromkeys(key[0] for key in samples.values if key[0].startswith(prefix)):
            if samples.has(case, "native", metric) and samples.has(case, "recorded", metric):
                values = [f(case, side, metric) for side in ("native", "recorded") for f in (samples.best, samples.median)]
                yield [what % case.split(".")[1], *[figure(value) for value in values]]


def readers(samples):
    for (case, side, metric) in samples.values:
        if case.startswith("log.") and metric == "wall":
            work = samples.best(case, side, "lines" if side == "show" else "records") if side != "why" else 0
            rate = figure(work / samples.best(case, side, "cpu") * 1e3) + " " + ("lines" if side == "show" else "records") if work else ""
            times = [figure(f(case, side, m)) for m in ("wall", "cpu") for f in (samples.best, samples.median)]
            yield ["ovc " + side, case.split(".")[1] + " MiB", *times, rate, figure(samples.median(case, side, "rss") / 1024)]


def main(folder):
    samples = Samples(folder)
    m = samples.machine
    print("%s, %s, %s RAM, %s, load average %s. %s rounds, sides by turns; best is the least time (or highest rate) of all rounds.\n" %
          (m["date"], m["cpu"], m["ram"], m["kernel"], m["load"], m["rounds"]))
    parts = [
        ("Against the goals", ["work", "figure", "best", "median", "native again", "goal", "met"], goals(samples)),
        ("One malloc+free pair beside other tools, one thread",
         ["tool", "keeps", "best, ns", "median, ns", "over native, ns", "ovcshim's overhead / its"], tools(samples)),
        ("Both sides", ["work", "native best", "median", "recorded best", "median", "unit", "ratio of best", "of medians"], pairs(samples)),
        ("How cost grows", ["work", "native best", "median", "recorded best", "median"], growth(samples)),
        ("Reading a full log",
         ["command", "log", "wall best, ms", "median", "CPU best, ms", "median", "a second of CPU", "memory, MiB"], readers(samples)),
    ]
    for title, head, body in parts:
        body = list(body)
        if body:
            print("### %s\n" % title)
            print("\n".join(table(head, body)))


main(sys.argv[1])
