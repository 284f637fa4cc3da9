#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# JSON lines and CSV: one record a line with the same columns, read by jq, by Python and by DuckDB, which has to come to the same
# figures; names that would end a field; a file that is replaced whole; a pipe whose reader has gone.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/exports.sh"

ovc show --json "$export_log" >show.json || (($? == 1))
exits 0 ovc export "$export_log" --to json --calls >all.json
exits 0 ovc export "$export_log" --to csv --calls -o all.csv
exits 0 ovc export "$export_log" --to json -o events.json
jq -c '[.time, .pid, .tid, .op, .position, .errno, .duration_ns]' show.json >wanted
jq -c '[.time, .pid, .tid, .op, .position, .errno, .duration_ns]' <(jq -c 'select(.op != "module" and .op != "mappings")' all.json) >got  # shown only if asked for
same wanted got "records of ovc show and of the export"
[[ $(wc -l <events.json) == $(jq -c 'select(.lane == "events")' all.json | wc -l) ]] || fail "the call lane without --calls"
[[ $(jq -rs 'map(keys_unsorted - ["args", "facts", "mappings"]) | unique | length' all.json) == 1 ]] || fail "not the same columns on each line"
[[ $(jq -r 'select(.op == "mremap" and .size_change_bytes != 4194304)' all.json) == '' ]] || fail "growth by mremap"

python3 - "$odd_name" <<'PY'
import csv, json, sys
lines = [json.loads(line) for line in open("all.json")]
raw = open("all.csv", newline="").read()
assert raw.count("\r\n") == len(lines) + 1, "RFC 4180: CRLF ends a record"
rows = list(csv.DictReader(open("all.csv", newline="")))
assert len(rows) == len(lines)
for line, row in zip(lines, rows):
    columns = [name for name in line if name not in ("args", "facts", "mappings")]
    assert columns == list(row), (columns, list(row))
    for name in columns:
        value = line[name]
        if value is None or value == []: assert row[name] == "", (name, row[name])
        elif isinstance(value, (int, float)): assert row[name] == str(value), (name, value, row[name])
        elif name == "time": assert row[name] == value
odd = sys.argv[1]
assert odd in {line["exe"].rsplit("/", 1)[-1] for line in lines if line["exe"]}
shown = {row["exe"].rsplit("/", 1)[-1] for row in rows}
assert 'o,"d;d\\n\\\\x' in shown, shown
print(len(rows), "rows")
PY

# Another host's log, and another word for what is not known.
ovc export "$export_log" --to csv --host db7 --null '\N' | head -2 | tail -1 >line
finds '^db7,' line
finds ',\\N,' line
ovc export "$export_log" --to json --host "" | head -1 | jq -e --arg host "$(uname -n)" '.host == $host' >/dev/null || fail "this host"
# A reader who goes away, a place that is no file, a link.
ovc export "$export_log" --to csv --calls | head -1 >/dev/null
((PIPESTATUS[0] == 0)) || fail "a closed pipe"
exits 0 ovc export "$export_log" --to json -o /dev/stdout >piped.json
same events.json piped.json
ln -s events.json link.json
exits 0 ovc export "$export_log" --to json -o link.json
[[ -L link.json ]] || fail "a link was replaced"
exits 2 ovc export "$export_log" --to xml 2>message
finds '^ovc: ' message
exits 2 ovc export "$export_log" --to folded --calls 2>message
finds '^ovc: .*--calls' message

[[ -d $node_folder/@duckdb/node-api ]] || skip "jq and Python have read it; no DuckDB: tests/setup.sh exports"
needs node
cat >duck.js <<'JS'
const { DuckDBInstance } = require(process.argv[2] + '/@duckdb/node-api');
(async () => {
  const db = await (await DuckDBInstance.create(':memory:', { autoload_known_extensions: 'false', autoinstall_known_extensions: 'false' })).connect();
  const ask = async (sql) => (await db.runAndReadAll(sql)).getRowsJson();
  await db.run("CREATE TABLE c AS SELECT * FROM read_csv('all.csv', header = true, sample_size = -1)");
  let json = 'json';
  try { await db.run("CREATE TABLE j AS SELECT * FROM read_ndjson('all.json', sample_size = -1)"); } catch (error) { json = String(error); }
  const figures = (table) => ask(`SELECT op, count(*), sum(duration_ns), sum(requested_bytes), sum(charge_bytes), sum(charge_change_bytes),
    max(committed_as_bytes), count(errno), count(result) FROM ${table} GROUP BY op ORDER BY op`);
  const types = await ask("SELECT column_name, column_type FROM (DESCRIBE c) WHERE column_name IN ('time', 'time_ns', 'duration_ns', 'requested_bytes', 'op')");
  console.log(JSON.stringify({ types: Object.fromEntries(types), csv: await figures('c'), json: json === 'json' ? await figures('j') : json }));
})();
JS
timeout 300 node duck.js "$node_folder" >duck.out || fail "DuckDB"
jq -cs 'group_by(.op) | map([.[0].op, length, (map(.duration_ns // empty) | add), (map(.requested_bytes // empty) | add),
  (map(.charge_bytes // empty) | add), (map(.charge_change_bytes // empty) | add), (map(.committed_as_bytes // empty) | max),
  (map(.errno // empty) | length), (map(select(.result != null)) | length)]) | .[]' all.json >wanted
for kind in csv json; do
  jq -c --arg kind $kind '.[$kind][] | map(if type == "string" and test("^-?[0-9]+$") then tonumber else . end)' duck.out >got || fail "DuckDB: $(<duck.out)"
  same wanted got "figures of jq and of DuckDB from $kind"
done
jq -e '.types.time_ns == "BIGINT" and .types.duration_ns == "BIGINT" and (.types.time | startswith("TIMESTAMP"))' duck.out >/dev/null ||
  fail "types that DuckDB finds: $(jq -c .types duck.out)"
