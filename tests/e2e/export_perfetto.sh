#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The trace: its figures are those of the other commands; each fork has its arrow to the child; the trace engine of Chromium's DevTools
# finds the arrows, and speedscope the tracks. (Perfetto's own trace_processor is in no package registry that these tests can use.)
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/exports.sh"

exits 0 ovc export "$export_log" --to perfetto -o trace.json
ovc export "$export_log" --to json >events.json
ovc forks --json "$export_log" >forks.json || (($? == 1))
ovc stats --stacks --json "$export_log" >stacks.json
ovc export "$export_log" --to sqlite -o tree.db
python3 -c 'import sqlite3
for row in sqlite3.connect("tree.db").execute("SELECT committed_as_bytes, commit_limit_bytes FROM readings"): print(*(value or "" for value in row), sep="|")' >kept.txt
python3 - <<'PY'
import json
from decimal import Decimal
trace = json.load(open("trace.json"), parse_float=Decimal)
events = [json.loads(line) for line in open("events.json")]
forks = {fork["position"]: fork for fork in json.load(open("forks.json"))["forks"]}
all = trace["traceEvents"]
by = lambda phase: [event for event in all if event["ph"] == phase]
assert {event["ph"] for event in all} == set("MXCisf"), {event["ph"] for event in all}
assert trace["otherData"]["log"] == "tree.ovc"

# Slices: each call that took time, to the nanosecond; what lies in a call lies in its slice.
slices = {event["args"]["position"]: event for event in by("X") if "position" in event["args"]}
timed = {event["position"]: event for event in events if event["duration_ns"] is not None}
assert slices.keys() == timed.keys()
start = min(event["time_ns"] - int(slices[event["position"]]["ts"] * 1000) for event in timed.values())
for position, event in timed.items():
    found = slices[position]
    assert (int(found["ts"] * 1000), int(found["dur"] * 1000), found["name"]) == (event["time_ns"] - start, event["duration_ns"], event["op"]), (found, event)

# Counters: figures that were read only, of the records and of the readings that stay, on the host's own track, in bytes.
kept = {int(value) for line in open("kept.txt") for value in line.split("|") if value.strip()}
for name, columns in (("Committed_AS", ("committed_as_bytes", "committed_as_after_bytes")), ("CommitLimit", ("commit_limit_bytes",))):
    shown = {event["args"]["bytes"] for event in by("C") if event["name"] == name}
    recorded = {event[column] for event in events for column in columns if event[column] is not None}
    assert shown and recorded <= shown <= recorded | kept, (name, shown ^ recorded)
assert len({(event["pid"]) for event in by("C")}) == 1 and by("C")[0]["pid"] > 1 << 22

# Marks: what was refused and why.
assert [(event["name"], event["args"]["errno"]) for event in by("i") if event["cat"] == "refusal"] == [("fork refused: injected", "ENOMEM")], by("i")

# Who made them grow, at the end: the sums of ovc stats --stacks.
growers = {(event["name"], event["args"]["program"]): event["args"] for event in by("i") if event["cat"] == "growth"}
assert growers["mprotect by_mprotect", "grows"]["charged_ever_bytes"] == 128 << 20, growers
assert growers["mmap main", "fork_doubles"]["charged_ever_bytes"] + growers["mmap main", "fork_doubles"]["promised_bytes"] in (256 << 20, 64 << 20)
stacks = json.load(open("stacks.json"))
assert sum(event["args"]["charged_ever_bytes"] for event in by("i") if event["cat"] == "growth") == stacks["charged_ever_kb"]["high"] * 1024

# Arrows: from each fork with a recorded child to that child's life.
starts, ends = ({event["id"]: event for event in by(phase)} for phase in "sf")
children = {position: fork["child"]["pid"] for position, fork in forks.items() if fork.get("child", {}).get("pid")}
assert starts.keys() == ends.keys() and {id: ends[id]["pid"] for id in ends} == children, (ends, children)
for id, end in ends.items():
    life, = [event for event in by("X") if event["pid"] == end["pid"] and event["cat"] == "fork" and event["ts"] == end["ts"]]
    assert starts[id]["ts"] == slices[id]["ts"] and starts[id]["pid"] == forks[id]["pid"]
print(len(slices), "slices,", len(by("C")), "readings,", len(ends), "arrows")
PY

[[ -d $node_folder/@paulirish/trace_engine ]] || skip "Python has read it; no trace engine of DevTools: tests/setup.sh exports"
needs node
cat >flows.mjs <<'JS'
import fs from 'node:fs';
globalThis.window = globalThis;  // it is made for a browser
globalThis.DOMRect ??= class DOMRect {};
const engine = await import(process.argv[2] + '/@paulirish/trace_engine/models/trace/trace.js');
const processor = new engine.Processor.TraceProcessor({ Flows: engine.Handlers.ModelHandlers.Flows });
await processor.parse(JSON.parse(fs.readFileSync('trace.json', 'utf8')).traceEvents, { isFreshRecording: false, isCPUProfile: false, metadata: {} });
for (const flow of processor.data.Flows.flows) {
  const [from, to] = flow.sort((a, b) => a.ts - b.ts);
  console.log([from.args.position, from.name, from.pid, to.pid, to.args.parent_pid, flow.length].join(' '));
}
JS
timeout 120 node flows.mjs "$node_folder" | sort >found || fail "the trace engine"
jq -r '.forks[] | select(.child.pid != null) | [.position, .call, .pid, .child.pid, .pid, 2] | join(" ")' forks.json | sort >wanted
same wanted found "arrows of the trace engine and children of ovc forks"

. "$source_dir/tests/fixtures/speedscope.sh"
rendered trace.json tracks | awk '{ print $2 }' | sort >found
ovc stats --json -n 0 "$export_log" | jq -r '.processes[].comm | gsub(","; "")' | sort >wanted  # rendered takes them from figures
same wanted found "tracks that speedscope lists and processes of ovc stats"
