#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The logs of a fleet in ClickHouse: two servers with a log of one host each, asked as one by a Distributed table. CSV and JSON lines
# go in as they are.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/exports.sh"
needs clickhouse-server clickhouse-client

servers=()
on_exit() {
  ((${#servers[@]} == 0)) || kill "${servers[@]}" 2>/dev/null || true
  wait
}
ports=()
for _ in 1 2 3 4; do ports+=("$(free_port)"); done
# server NUMBER TCP HTTP: on this machine only, everything it writes in a folder of its own
server() {
  mkdir -p "server$1/tmp"
  cat >"server$1/config.xml" <<XML
<yandex>
  <logger><level>warning</level><log>$work/server$1/log</log><errorlog>$work/server$1/errors</errorlog></logger>
  <tcp_port>$2</tcp_port> <http_port>$3</http_port> <listen_host>127.0.0.1</listen_host>
  <path>$work/server$1/</path> <tmp_path>$work/server$1/tmp/</tmp_path>
  <mark_cache_size>67108864</mark_cache_size> <max_concurrent_queries>10</max_concurrent_queries>
  <users_config>$work/users.xml</users_config> <default_profile>default</default_profile> <default_database>default</default_database>
  <remote_servers><fleet>
    <shard><replica><host>127.0.0.1</host><port>${ports[0]}</port></replica></shard>
    <shard><replica><host>127.0.0.1</host><port>${ports[2]}</port></replica></shard>
  </fleet></remote_servers>
</yandex>
XML
  clickhouse-server --config-file="$work/server$1/config.xml" >"server$1/out" 2>&1 &
  servers+=($!)
}
cat >users.xml <<'XML'
<yandex>
  <profiles><default><max_memory_usage>1000000000</max_memory_usage><use_uncompressed_cache>0</use_uncompressed_cache></default></profiles>
  <users><default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default></users>
  <quotas><default><interval><duration>3600</duration><queries>0</queries><errors>0</errors><result_rows>0</result_rows><read_rows>0</read_rows><execution_time>0</execution_time></interval></default></quotas>
</yandex>
XML
server 1 "${ports[0]}" "${ports[1]}"
server 2 "${ports[2]}" "${ports[3]}"
ask() {
  local port=$1
  shift
  clickhouse-client --host 127.0.0.1 --port "$port" "$@"
}
for port in "${ports[0]}" "${ports[2]}"; do
  until_true 120 ask "$port" --query 'SELECT 1' >/dev/null 2>&1 || fail "a server did not start: $(tail -n 5 server*/out server*/errors 2>/dev/null)"
done

# The columns as the header names them, by the example's own script.
example=$source_dir/examples/clickhouse
for port in "${ports[0]}" "${ports[2]}"; do
  "$example/create.sh" "$export_log" | ask "$port"
  ask "$port" --query "CREATE TABLE fleet AS events ENGINE = Distributed(fleet, default, events)"
done
under second.ovc fork_doubles
ovc export "$export_log" --to csv --null '\N' --host alpha --calls | ask "${ports[0]}" --query 'INSERT INTO events FORMAT CSVWithNames'
ovc export second.ovc --to csv --null '\N' --host beta | ask "${ports[2]}" --query 'INSERT INTO events FORMAT CSVWithNames'
first=$(ovc export "$export_log" --to json --calls | wc -l) second=$(ovc export second.ovc --to json | wc -l)
for port in "${ports[0]}" "${ports[2]}"; do
  [[ $(ask "$port" --query 'SELECT host, count() FROM fleet GROUP BY host ORDER BY host' | tr '\n\t' ' :') == "alpha:$first beta:$second " ]] ||
    fail "rows: $(ask "$port" --query 'SELECT host, count() FROM fleet GROUP BY host')"
done
# Which host refused what, and the longest forks of all: exact, from both servers.
[[ $(ask "${ports[2]}" --query "SELECT host, op, errno, cause, count() FROM fleet WHERE cause IS NOT NULL GROUP BY host, op, errno, cause") == \
  $'alpha\tfork\tENOMEM\tinjected\t1' ]] || fail "refusals"
{ ovc export "$export_log" --to json --host alpha; ovc export second.ovc --to json --host beta; } |
  jq -r 'select(.op == "fork" and .duration_ns != null) | [.host, .time_ns, .duration_ns, .child_pid // "\\N"] | @tsv' | sort >wanted
# jq has no 64-bit integers: times are compared without their last digits
ask "${ports[0]}" --query "SELECT host, time_ns, duration_ns, child_pid FROM fleet WHERE op = 'fork' AND duration_ns IS NOT NULL" |
  sort | awk -F'\t' -vOFS='\t' '{ $2 = substr($2, 1, 15); print }' >got
awk -F'\t' -vOFS='\t' '{ $2 = substr($2, 1, 15); sub(/\\\\N/, "\\N", $4); print }' wanted >wanted.cut
same wanted.cut got "forks of both hosts"
[[ $(ask "${ports[0]}" --query 'SELECT sum(charge_change_bytes) FROM fleet WHERE host = '"'beta'"' AND comm = '"'fork_doubles'"' AND charge_change_bytes > 0') \
  == $((320 << 20)) ]] || fail "growth on beta"

# JSON lines: what has no column is passed over.
ask "${ports[0]}" --query 'CREATE TABLE lines (time_ns Int64, op String, duration_ns Nullable(Int64), errno Nullable(String)) ENGINE = MergeTree ORDER BY time_ns'
ovc export "$export_log" --to json --calls --host alpha |
  ask "${ports[0]}" --input_format_skip_unknown_fields 1 --query 'INSERT INTO lines FORMAT JSONEachRow'
figures='count(), sum(time_ns), sum(duration_ns), count(errno)'
[[ $(ask "${ports[0]}" --query "SELECT $figures FROM lines") == $(ask "${ports[0]}" --query "SELECT $figures FROM fleet WHERE host = 'alpha'") ]] ||
  fail "JSON lines and CSV differ"

# The example's questions, asked of both servers: each is answered, and what is known beforehand stands in the answers.
# shellcheck disable=SC2016  # the inner shell's
under third.ovc bash -c 'sleep 100 & kill -KILL $!; wait; (exit 3); env false; exit 0' 2>/dev/null
ovc export third.ovc --to csv --null '\N' --host gamma | ask "${ports[2]}" --query 'INSERT INTO events FORMAT CSVWithNames'
sed 's/FROM events/FROM fleet/' "$example/questions.sql" | ask "${ports[0]}" --multiquery --format TabSeparatedWithNames >answers 2>wrong ||
  fail "questions.sql: $(<wrong)"
[[ $(grep -c '^host' answers) == 5 ]] || fail "not five answers: $(<answers)"
finds $'^alpha\t.*\tfork\tENOMEM\tinjected\t1\t' answers           # who was refused what
finds $'^gamma\t.*\tbash\t[0-9]+\tkill\\(.*SIGKILL' answers          # who killed whom
finds $'^gamma\tbash\texit\\(3\\)\t1\t' answers                      # which children exit with an error
finds $'^beta\tfork_doubles\t1\t[0-9.]+\t[0-9.]+$' answers           # which forks take long
finds $'^beta\tfork_doubles\t20.*\t320$' answers                      # who grows
