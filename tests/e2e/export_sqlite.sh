#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The SQLite export, opened by sqlite3 and by Python: what its tables say is what the other commands say, every view answers, what is
# not known is NULL, and an export that fails leaves the old file as it was.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/exports.sh"
needs sqlite3

exits 2 ovc export "$export_log" --to sqlite 2>message
finds '^ovc: .*-o FILE' message
exits 0 ovc export "$export_log" --to sqlite --calls -o tree.db
ask() { sqlite3 tree.db "$@"; }
[[ $(ask 'PRAGMA integrity_check') == ok && $(ask 'PRAGMA foreign_key_check') == '' ]] || fail "not a sound database"

ovc show --json --no-calls "$export_log" >events.json || (($? == 1))
ovc show --json "$export_log" >all.json || (($? == 1))
listless="op NOT IN ('module', 'mappings')"  # which `ovc show` shows only if asked for
[[ $(ask "SELECT count(*) FROM events WHERE $listless") == $(wc -l <events.json) ]] || fail "events"
[[ $(ask 'SELECT count(*) FROM calls') == $(($(wc -l <all.json) - $(wc -l <events.json))) ]] || fail "calls"
# as `ovc show` gives them: every position with its op, errno and duration
jq -r '[.position, .op, .errno // "", .duration_ns // ""] | @tsv' events.json | sort >wanted
ask -separator $'\t' "SELECT position, op, coalesce(errno, ''), coalesce(duration_ns, '') FROM events WHERE $listless" | sort >got
same wanted got "events of ovc show and of the export"

ovc stats --json -n 0 "$export_log" >stats.json
jq -r '.processes[] | .pid as $pid | .totals.calls | to_entries[] | [$pid, .key, .value.calls, .value.failed] | @tsv' stats.json | sort >wanted
ask -separator $'\t' 'SELECT pid, op, calls, failed FROM totals JOIN processes USING (process)' | sort >got
same wanted got "totals of ovc stats and of the export"

ovc forks --json "$export_log" >forks.json || (($? == 1))
jq -r '.forks[] | [.position, .duration_ns, .charge_kb, .child.pid, .child.end, .errno] | map(. // "") | @tsv' forks.json | sort >wanted
ask -separator $'\t' "SELECT position, duration_ns, coalesce(charge_bytes / 1024, ''), coalesce(child_pid, ''), coalesce(fate, ''),
  coalesce(errno, '') FROM forks" | sort >got
same wanted got "forks"

exits 1 ovc why --json "$export_log" >why.json
jq -r '.verdicts[] | [.op, .errno, .cause, .count, .positions[]] | @tsv' why.json | sort >wanted
ask -separator $'\t' 'SELECT op, errno, cause, count, position FROM refusals JOIN refusal_events USING (refusal)' | sort >got
same wanted got "refusals"
[[ $(ask "SELECT group_concat(cause) FROM events WHERE errno = 'ENOMEM'") == injected ]] || fail "the cause beside its event"

# The figures of a verdict: a limit that is rehearsed refuses the first mmap of fork_doubles.
under limit.ovc env OVCSHIM_REHEARSE=mode=2,limit=1M fork_doubles >/dev/null 2>&1 && fail "nothing was refused"
ovc export limit.ovc --to sqlite -o limit.db
ovc why --json limit.ovc >why.json || (($? == 1))
kb='if . == null then "" else . * 1024 end'
jq -r ".verdicts[] | [.op, .cause, (.charge.kb | $kb), (.mode2.commit_limit_kb | $kb), (.mode2.committed_as_kb | $kb),
  (.mode2.headroom_kb | $kb), .short_by // \"\", .short_unit // \"\", .would_pass.mode2 // \"\"] | @tsv" why.json | sort >wanted
sqlite3 -separator $'\t' limit.db 'SELECT op, cause, charge_bytes, commit_limit_bytes, committed_as_bytes, headroom_bytes, short_by, short_unit,
  CASE passes_mode_2 WHEN 1 THEN '"'true'"' ELSE '"''"' END FROM refusals' | sort >got
same wanted got "figures of the verdicts"
finds 'mmap.*268435456' got

# Growth: exact, and by whom. 256 MiB private and 64 MiB shared; 64 times 4 MiB by mremap, 1 MiB by sbrk, 2 MiB by mprotect.
growth() { ask "SELECT charged_bytes FROM v_growth_by_caller WHERE comm = '$1' AND caller = '$2'"; }
[[ $(growth fork_doubles main) == $((320 << 20)) ]] || fail "fork_doubles: $(ask 'SELECT * FROM v_growth_by_caller')"
[[ $(growth grows by_mremap) == $((256 << 20)) ]] || fail "mremap: $(growth grows by_mremap)"
[[ $(growth grows by_sbrk) == $((64 << 20)) ]] || fail "sbrk: $(growth grows by_sbrk)"
[[ $(growth grows by_mprotect) == $((128 << 20)) ]] || fail "mprotect: $(growth grows by_mprotect)"

# Unknown is NULL: a figure that nobody read, an exit that nobody saw; and no text stands for it.
[[ $(ask "SELECT count(*) FROM events WHERE op = 'start' AND (committed_as_bytes IS NOT NULL OR duration_ns IS NOT NULL)") == 0 ]] || fail "0 for unknown"
[[ $(ask "SELECT count(*) FROM forks WHERE errno IS NOT NULL AND (child_pid IS NOT NULL OR charge_bytes = 0)") == 0 ]] || fail "a refused fork's child"
[[ $(ask "SELECT count(*) FROM events WHERE committed_as_bytes = 0 OR '' IN (errno, cause, address, caller)") == 0 ]] || fail "empty text"

# From Python, with every view; and the old file stays whole for who has it open, and stays if the next export fails.
python3 - "$work" <<'PY'
import os, resource, signal, sqlite3, subprocess, sys
os.chdir(sys.argv[1])
db = sqlite3.connect("file:tree.db?mode=ro", uri=True)
views = [name for name, in db.execute("SELECT name FROM sqlite_master WHERE type = 'view'")]
assert sorted(views) == ["v_commit_timeline", "v_fleet_events", "v_forks", "v_growth_by_caller", "v_refusals", "v_top_allocators"], views
for view in views:
    rows = db.execute(f"SELECT * FROM {view}").fetchall()
    assert rows, view
    print(view, len(rows), "rows")
host, boot, log = db.execute("SELECT DISTINCT host, boot_id, log FROM v_fleet_events").fetchone()
assert (host, boot, log) == (os.uname().nodename, open("/proc/sys/kernel/random/boot_id").read().strip(), "tree.ovc"), (host, boot, log)
stack = db.execute("""SELECT group_concat(function, ' ') FROM (SELECT function FROM events JOIN stack_frames USING (stack_id)
    JOIN frames USING (frame_id) WHERE op = 'mremap' ORDER BY position, number LIMIT 2)""").fetchone()[0]
assert stack.startswith("by_mremap main"), stack
listed, = db.execute("SELECT max(kb) FROM (SELECT sum(bytes) / 1024 AS kb FROM mappings WHERE accounted GROUP BY position)").fetchone()
assert listed > 0

before = db.execute("SELECT count(*) FROM events").fetchone()
subprocess.run(["ovc", "export", "tree.ovc", "--to", "sqlite", "-o", "tree.db"], check=True)
assert db.execute("SELECT count(*) FROM events").fetchone() == before and db.execute("SELECT count(*) FROM calls").fetchone() != (0,)
assert sqlite3.connect("tree.db").execute("SELECT count(*) FROM calls").fetchone() == (0,)

kept = open("tree.db", "rb").read()
def small():
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
failed = subprocess.run(["ovc", "export", "tree.ovc", "--to", "sqlite", "-o", "tree.db"], preexec_fn=small, stderr=subprocess.PIPE)
assert failed.returncode == 2 and failed.stderr.startswith(b"ovc: cannot write"), failed
assert open("tree.db", "rb").read() == kept
assert not [name for name in os.listdir() if name.startswith(".")], os.listdir()
PY
exits 2 ovc export "$export_log" --to sqlite -o /nonexistent/x.db 2>message
finds '^ovc: cannot write /nonexistent/x.db: ' message
