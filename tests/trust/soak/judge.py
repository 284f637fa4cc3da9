# SPDX-License-Identifier: MIT
"""What must hold of a soak: pure functions of what was gathered, so that the self-test can damage a copy and see that each of
them notices. `gathered` is a dictionary made by drive.py; every check gives sentences about what is wrong."""
import copy
import datetime
import json
import statistics
import sys

VITAL_BIT = 1 << 49  # of a position: what is below counts the slots of that ring
CLOCK_BOUND = 0.010  # seconds by which a time of the log may lie outside of the moments around the call
GROWTH_KB = {  # between the second and the last tenth of the samples
    "server_fds": 0,
    "server_threads": 0,
    "shim_private_kb": 64,
    "shim_charge_kb": 0,
    # Readings: 40 kB more when the log's age doubles, here three to four times. A stack of small mallocs that is sampled for the first
    # time: a page of the index and one of the totals; a server has some dozens.
    "log_resident_kb": 64 + 4 * 40 + 40 * 8,
    "server_anonymous_kb": 8192,
    "server_data_kb": 16384,
    "follow_fds": 6,  # the symbol files of what it has met first
    "follow_anonymous_kb": 2048,
    "follow_data_kb": 2048,
    "follow_resident_kb": 18 * 1024,  # its window on the log, at most 16 MiB, comes and goes
    "log_bytes": 0,
}


def seconds_of(iso):
    """Of "2026-11-22T14:23:33.819402123Z"; microseconds are enough."""
    return datetime.datetime.fromisoformat(iso[:26] + "+00:00").timestamp()


def saves_told(gathered):
    """What follow told of the server's forks, in its order."""
    return [line for line in gathered["follow"]
            if line.get("pid") == gathered["server_pid"] and line["event"] in ("forked", "refused")]


def saves_agree(gathered):
    """Each BGSAVE as redis itself says it, and as follow told it."""
    told, truth = saves_told(gathered), gathered["truth"]
    if len(told) != len(truth):
        yield f"redis saved or was refused {len(truth)} times, follow told of {len(told)}"
    for n, (line, save) in enumerate(zip(told, truth)):
        if (line["event"] == "refused") != save["refused"]:
            yield f"save {n}: redis was {'refused' if save['refused'] else 'granted'} a fork, follow says {line['event']}"
        elif not save["refused"] and line["child"] != save["child"]:
            yield f"save {n}: redis' child is {save['child']}, follow says {line['child']}"
        elif save["refused"] and line["errno"] != save["errno"]:
            yield f"save {n}: redis got {save['errno']}, follow says {line['errno']}"
        if line["purpose"] != "BGSAVE":
            yield f"save {n}: follow does not know that it was a BGSAVE: {line['purpose']}"


def verdicts_agree(gathered):
    for n, (line, save) in enumerate(zip(saves_told(gathered), gathered["truth"])):
        if save["refused"] and line.get("cause") != save["cause"]:
            yield f"save {n}: the cause was {save['cause']}, follow says {line.get('cause')}"


def limits_bite(gathered):
    """A save was refused if and only if a limit stood against it that moment."""
    for n, save in enumerate(gathered["truth"]):
        if not save["foreign"] and save["refused"] != (save["limit"] is not None):
            yield f"save {n}: the limit was {save['limit']}, redis was {'refused' if save['refused'] else 'granted'} a fork"


def grows_agree(gathered):
    """Each mapping that RLIMIT_AS refused the second program, and no other refusal."""
    told = [line for line in gathered["follow"] if line["event"] == "refused" and line.get("pid") == gathered["forker_pid"]]
    wrong = [line for line in told if (line["call"], line["errno"], line["cause"]) != ("mmap", "ENOMEM", "rlimit-as")]
    for line in wrong:
        yield f"of the second program follow says: {line['call']} {line['errno']} {line['cause']}"
    for grow in gathered["grows"]:
        if grow["answer"] != "refused ENOMEM":
            yield f"the second program says: {grow['answer']}"
    times = sum(line["times"] for line in told)
    if times != len(gathered["grows"]):
        yield f"the second program was refused {len(gathered['grows'])} mappings, follow told of {times}"


def nobody_else(gathered):
    """No other refusal, and no end that was not one."""
    known = (gathered["server_pid"], gathered["forker_pid"])
    for line in gathered["follow"]:
        if line["event"] == "vanished" or (line["event"] == "refused" and (line.get("pid") not in known or line["call"] not in ("fork", "mmap"))):
            yield f"follow says: {line}"
    if gathered["follow_status"] != 1:
        yield f"follow ends with status {gathered['follow_status']}, and something was refused"


def silent(gathered):
    if "ovc" in gathered["messages"]:
        yield f"there is a message: {gathered['messages'][:300]}"


def ends_agree(gathered):
    """Each child's end, once."""
    ends = {}
    for line in gathered["follow"]:
        if line["event"] == "ended":
            ends.setdefault(line["pid"], []).append(line["how"])
    for n, save in enumerate(gathered["truth"]):
        if not save["refused"] and "exited, 0" not in ends.get(save["child"], []):
            yield f"save {n}: redis' child {save['child']} ended well, follow says {ends.get(save['child'])}"


def clock_errors(gathered):
    """Seconds by which each told time lies outside of the moments around the command."""
    for line, save in zip(saves_told(gathered), gathered["truth"]):
        time = seconds_of(line["time"])
        yield max(save["before"] - time, time - save["after"], 0)


def clock_agrees(gathered):
    worst = max(clock_errors(gathered), default=0)
    if worst > CLOCK_BOUND:
        yield f"a time of the log is off by {worst * 1000:.1f} ms, more than {CLOCK_BOUND * 1000:.0f}"


def lists_agree(gathered):
    """ovc forks lists the newest forks, none of them wrongly; ovc why gives the cause that follow gave and that was set."""
    told = saves_told(gathered)
    by_position = {line["position"]: save for line, save in zip(told, gathered["truth"])}
    for look in gathered["looks"]:
        known = gathered["truth"][: look["saves"]]
        listed = look["forks"]
        oldest = look["lost"]["vital_slots_overwritten"]  # what is in this slot and later ones was there a moment before
        there = sum(line["position"] % VITAL_BIT >= oldest for line in told[: look["saves"]])
        if len(listed) < there:
            yield f"ovc forks lists {len(listed)} after {look['saves']} saves, {there} are not overwritten"
        for fork, save in zip(reversed(listed), reversed(known)):
            if fork["failed"] != save["refused"] or fork["child"] != save.get("child") or fork["errno"] != save.get("errno"):
                yield f"after {look['saves']} saves, ovc forks has {fork} for {save}"
            elif not save["refused"] and fork["end"] != "exited, 0":
                yield f"after {look['saves']} saves, ovc forks says of {save['child']}: {fork['end']}"
        for position, cause in look["causes"].items():
            save = by_position.get(int(position))
            if save is None:
                yield f"ovc why knows a refusal at {position}, follow does not"
            elif cause != save.get("cause"):
                yield f"the cause was {save.get('cause')}, ovc why says {cause}"


def counters_agree(gathered):
    for look in gathered["looks"]:
        known = gathered["truth"][: look["saves"]]
        refused = sum(save["refused"] for save in known)
        if (look["fork_calls"], look["fork_failed"]) != (len(known), refused):
            yield f"{len(known)} forks, {refused} refused; ovc stats counts {look['fork_calls']}, {look['fork_failed']}"


def nothing_torn(gathered):
    for look in gathered["looks"]:
        for what in ("event_slots_torn", "call_chunks_damaged", "events_lost_busy", "events_lost_lapped"):
            if look["lost"][what]:
                yield f"after {look['saves']} saves: {what} {look['lost'][what]}"


def losses_told(gathered):
    """What follow missed it must have said; with these lanes and its interval it misses none of the forks."""
    lost = [line for line in gathered["follow"] if line["event"] == "lost"]
    missing = len(gathered["truth"]) - len(saves_told(gathered))
    if missing > 0 and not lost:
        yield f"follow missed {missing} saves and told of no loss"
    for line in lost:
        if "unfinished" in line["what"]:
            yield f"follow: {line['count']} {line['what']}"


def tenths(gathered, key):
    values = [sample[key] for sample in gathered["samples"]]
    tenth = max(len(values) // 10, 1)
    return statistics.median(values[tenth : 2 * tenth] or values), statistics.median(values[-tenth:])


def nothing_grows(gathered):
    for key, allowed in GROWTH_KB.items():
        early, late = tenths(gathered, key)
        if late > early + allowed:
            yield f"{key} grew from {early:.0f} to {late:.0f}"


def enough_happened(gathered):
    """A soak in which nothing happened proves nothing."""
    truth, seconds = gathered["truth"], gathered["seconds"]
    if len(truth) < seconds / 4:
        yield f"only {len(truth)} saves in {seconds} seconds"
    if not any(save["refused"] for save in truth):
        yield "nothing was refused"
    wraps = gathered["wraps"]
    if wraps["calls"] + wraps["events"] + wraps["vitals"] < seconds / 4:
        yield f"the log wrapped too seldom: {wraps}"


CHECKS = (saves_agree, verdicts_agree, limits_bite, grows_agree, nobody_else, silent, ends_agree, clock_agrees, lists_agree,
          counters_agree, nothing_torn, losses_told, nothing_grows, enough_happened)


def findings(gathered):
    return [f"{check.__name__}: {sentence}" for check in CHECKS for sentence in check(gathered)]


def table(gathered):
    """The figures, as rows of a table."""
    truth = gathered["truth"]
    refused = [save for save in truth if save["refused"]]
    wrong = sum(1 for _ in verdicts_agree(gathered))
    early_private, late_private = tenths(gathered, "shim_private_kb")
    early_follow, late_follow = tenths(gathered, "follow_anonymous_kb")
    causes = ", ".join(f"{cause} {sum(s['cause'] == cause for s in refused)}" for cause in sorted({s["cause"] for s in refused}))
    return [
        ("seconds", f"{gathered['seconds']:.0f}"),
        ("saves asked for", f"{len(truth)}"),
        ("refused by the kernel", f"{len(refused)} ({causes})"),
        ("verdicts right / wrong", f"{len(refused) - wrong} / {wrong}"),
        ("mappings refused by RLIMIT_AS", f"{len(gathered['grows'])}"),
        ("requests of the load", f"{gathered['requests']:,}"),
        ("looks with forks, why, stats", f"{len(gathered['looks'])}"),
        ("wraps of calls / events / vitals", " / ".join(f"{gathered['wraps'][k]:,.0f}" for k in ("calls", "events", "vitals"))),
        ("calls counted", f"{gathered['calls']:,}"),
        ("private memory of the shim, growth", f"{late_private - early_private:+.0f} kB"),
        ("private memory of follow, growth", f"{late_follow - early_follow:+.0f} kB of {late_follow:.0f}"),
        ("CPU of follow", f"{gathered['follow_cpu']:.2f} % of one"),
        ("largest error of a time", f"{max(clock_errors(gathered), default=0) * 1000:.2f} ms"),
        ("lines of follow / lost", f"{len(gathered['follow'])} / {sum(l['event'] == 'lost' for l in gathered['follow'])}"),
    ]


def report(gathered):
    """Prints the table and what is wrong; the exit status."""
    for name, value in table(gathered):
        print(f"{name:<40}{value}")
    if gathered["without_commit_limit"]:
        print(f"left out: mode 2 ({gathered['without_commit_limit']})")
    wrong = findings(gathered)
    print(f"{'findings':<40}{len(wrong)}")
    for sentence in wrong[:20]:
        print(f"FINDING: {sentence}")
    return 1 if wrong else 0


def refusal_told(g):
    return next(line for line in g["follow"] if line["event"] == "refused" and line["call"] == "fork")


def refused_save(g):
    return next(save for save in g["truth"] if save["refused"])


def granted_save(g):
    return next(save for save in g["truth"] if not save["refused"])


def grow_sample(g, key, by):
    early = tenths(g, key)[0]
    for sample in g["samples"][len(g["samples"]) // 2 :]:
        sample[key] = early + by


# What the checks have to notice: the check, and how a sound soak is damaged.
DAMAGES = [
    ("saves_agree", lambda g: g["follow"].remove(refusal_told(g))),
    ("saves_agree", lambda g: g["follow"].insert(0, dict(refusal_told(g)))),
    ("saves_agree", lambda g: refusal_told(g).update(errno="EPERM")),
    ("saves_agree", lambda g: granted_save(g).update(child=1)),
    ("saves_agree", lambda g: refusal_told(g).update(purpose=None)),
    ("verdicts_agree", lambda g: refusal_told(g).update(cause="unknown")),
    ("limits_bite", lambda g: refused_save(g).update(limit=None, foreign=False)),
    ("limits_bite", lambda g: granted_save(g).update(limit="rlimit-nproc", foreign=False)),
    ("grows_agree", lambda g: g["grows"].pop()),
    ("grows_agree", lambda g: g["grows"][0].update(answer="grown")),
    ("nobody_else", lambda g: g["follow"].append({"event": "vanished", "pid": 1, "time": "2026-01-01T00:00:00.000000000Z"})),
    ("nobody_else", lambda g: g.update(follow_status=0)),
    ("silent", lambda g: g.update(messages="ovc: cannot open the log\n")),
    ("ends_agree", lambda g: g.update(follow=[line for line in g["follow"] if line["event"] != "ended"])),
    ("clock_agrees", lambda g: granted_save(g).update(before=granted_save(g)["after"] + 1, after=granted_save(g)["after"] + 2)),
    ("lists_agree", lambda g: g["looks"][-1]["forks"].clear()),
    ("lists_agree", lambda g: g["looks"][-1]["forks"][-1].update(failed=None)),
    ("lists_agree", lambda g: g["looks"][-1]["causes"].update({"1": "commit-limit"})),
    ("counters_agree", lambda g: g["looks"][-1].update(fork_calls=0)),
    ("nothing_torn", lambda g: g["looks"][-1]["lost"].update(event_slots_torn=1)),
    ("losses_told", lambda g: g["follow"].append({"event": "lost", "count": 1, "what": "slots were left unfinished"})),
    ("enough_happened", lambda g: g["truth"].clear()),
    ("enough_happened", lambda g: g.update(wraps={"calls": 0, "events": 0, "vitals": 0})),
] + [("nothing_grows", lambda g, key=key, by=by: grow_sample(g, key, by + 1)) for key, by in GROWTH_KB.items()]


def self_test(gathered):
    """Each damage is noticed by its check, and the soak as it was by none."""
    bad = [f"sound, but {sentence}" for sentence in findings(gathered)]
    for n, (name, damage) in enumerate(DAMAGES):
        broken = copy.deepcopy(gathered)
        damage(broken)
        if not any(sentence.startswith(name + ":") for sentence in findings(broken)):
            bad.append(f"damage {n} is not noticed by {name}")
    print("\n".join(bad) or f"{len(DAMAGES)} damages, each noticed")
    return 1 if bad else 0


if __name__ == "__main__":  # judge.py [--self-test] GATHERED.json
    with open(sys.argv[-1]) as gathered_file:
        sys.exit((self_test if "--self-test" in sys.argv else report)(json.load(gathered_file)))
