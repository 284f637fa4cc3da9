#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Exports of damaged logs: whatever bytes are in them, each format ends in time, with a file that its reader takes, or with one line on
# stderr; no control character gets through. And the same log gives the same bytes.
#   export_damaged.sh          the stored logs of tests/old_logs, damaged as the seeds say: the same bytes in every run
#   export_damaged.sh SEEDS    so many damages of a log made now, which is another one in every run: for tests/trust/long.sh
. "$(dirname "$0")/../fixtures/e2e.sh"
OVCSHIM_CALLS_SIZE=256K OVCSHIM_EVENTS_SIZE=256K
export OVCSHIM_CALLS_SIZE OVCSHIM_EVENTS_SIZE
. "$source_dir/tests/fixtures/exports.sh"

formats=(json csv folded perfetto openmetrics)
for format in "${formats[@]}"; do
  ovc export "$export_log" --to "$format" >first
  ovc export "$export_log" --to "$format" >second
  same first second "$format twice"
done
refused=0 read=0
# damages LOG SEED: damaged.ovc
damages() {
  python3 - "$1" "$2" <<'PY'
import random, sys
random.seed(int(sys.argv[2]))
log = bytearray(open(sys.argv[1], "rb").read())
used = [at for at in range(64, len(log) - 8, 8) if log[at:at + 8] != bytes(8)]
for at in random.sample(used, 40 * (1 + int(sys.argv[2]) % 12)):
    kind = random.randrange(3)
    if kind == 0: log[at + random.randrange(8)] ^= 1 << random.randrange(8)
    elif kind == 1: log[at:at + 8] = random.choice([bytes(8), b"\xff" * 8, b"\xff" * 7 + b"\x7f", b"\x1b[31m\n\"\x07", b"\xc3\x28;,\\\0\n\r"])
    else: log[at] = random.randrange(256)
open("damaged.ovc", "wb").write(log)
PY
}
# exports NAME: damaged.ovc in every format
exports() {
  local format status
  for format in "${formats[@]}" sqlite; do
    status=0
    rm -f out.*
    timeout 60 ovc export damaged.ovc --to "$format" --host there -o "out.$format" 2>messages || status=$?
    if ((status == 2)); then
      [[ $(wc -l <messages) == 1 && ! -e out.$format ]] || fail "$1, $format: $(<messages)"
      refused=$((refused + 1))
      continue
    fi
    ((status == 0)) || fail "$1, $format: exit status $status"
    read=$((read + 1))
    case $format in
      sqlite) python3 -c '
import sqlite3
db = sqlite3.connect("out.sqlite")
assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
for view, in db.execute("SELECT name FROM sqlite_master WHERE type = '"'view'"'").fetchall(): db.execute(f"SELECT * FROM {view}").fetchall()' || fail "$1: SQLite" ;;
      json) python3 -c 'import json; [json.loads(line) for line in open("out.json", encoding="ascii")]' || fail "$1: JSON" ;;
      perfetto) python3 -c 'import json; json.load(open("out.perfetto", encoding="ascii"))' || fail "$1: the trace" ;;
      csv) python3 -c 'import csv; assert len({len(row) for row in csv.reader(open("out.csv", newline=""))}) == 1' || fail "$1: CSV" ;;
      folded) ! grep -vE '^[^ ]+ [0-9]+$' out.folded || fail "$1: folded" ;;
      openmetrics) ! grep -vE '^(#.*|[a-z_]+(\{([a-z_]+="([^"\\]|\\.)*",?)*\})? -?[0-9.e+-]+)$' out.openmetrics || fail "$1: metrics" ;;
    esac
    [[ $format == sqlite ]] || ! LC_ALL=C grep -qP '[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]' "out.$format" || fail "$1, $format: control characters"
  done
}

if (($#)); then
  for seed in $(seq "$1"); do damages "$export_log" "$seed"; exports "seed $seed"; done
else
  for log in "$source_dir"/tests/old_logs/*.xz; do
    name=$(basename "$log" .ovc.xz)
    xz -dc "$log" >stored.ovc
    for seed in 2 5 8; do damages stored.ovc "$seed"; exports "$name, seed $seed"; done
  done
fi
echo "$read exports of damaged logs, $refused refused"
((read > 3 * ${1:-12})) || fail "the damage was such that hardly anything was read"
