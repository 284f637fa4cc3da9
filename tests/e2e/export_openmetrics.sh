#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The metrics of a log and of the running processes, from node_exporter's textfile directory into a real Prometheus: the figures that it
# answers with are those of ovc, each panel of examples/prometheus/dashboard.json gets an answer, and its alerts ring.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/exports.sh"
example=$source_dir/examples/prometheus

exits 0 ovc export "$export_log" --to openmetrics -o log.prom
[[ $(tail -1 log.prom) == '# EOF' ]] || fail "no EOF"
# one FAMILY [LABELS]: the value of the one line that matches
one() { awk -v name="$1{" -v labels="${2-}" 'index($0, name) == 1 && index($0, labels) { print $NF; n++ } END { exit n != 1 }' log.prom || fail "not one $*: $(<log.prom)"; }
ovc forks --json "$export_log" >forks.json || (($? == 1))
[[ $(one ovc_log_refusals 'errno="ENOMEM",cause="injected"') == 1 ]] || fail "refusals"
[[ $(one ovc_log_forks 'comm="fork_doubles",result="granted"') == 1 ]] || fail "forks"
[[ $(one ovc_log_newest_fork_charge_bytes 'comm="fork_doubles"') == $(jq '[.forks[] | select(.comm == "fork_doubles")][-1].charge_kb * 1024' forks.json) ]] ||
  fail "charge of the newest fork"
headroom=$(one ovc_log_newest_fork_headroom_bytes 'comm="fork_doubles"') charge=$(one ovc_log_newest_fork_charge_bytes 'comm="fork_doubles"')
# allowed iff charge < headroom: it lacks the difference, and a page
[[ $(one ovc_log_newest_fork_short_bytes 'comm="fork_doubles"') == $((charge - headroom + $(getconf PAGESIZE))) ]] || fail "shortfall"
ovc stats --json -n 0 "$export_log" | jq -r '[.processes[].totals.calls | to_entries[]] | group_by(.key)[] | "\(.[0].key) \(map(.value.calls) | add)"' |
  while read -r op calls; do [[ $(one ovc_log_calls "op=\"$op\"") == "$calls" ]] || fail "calls of $op"; done

if /usr/bin/python3 -c 'import prometheus_client' 2>/dev/null; then  # Debian's: a strict parser of OpenMetrics
  /usr/bin/python3 -c 'import sys; from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
print(len(list(parse(sys.stdin.read()))), "families")' <log.prom || fail "no OpenMetrics"
fi
needs promtool
promtool check metrics <log.prom || fail "promtool finds fault with the metrics"
promtool check rules "$example/alerts.yml" >/dev/null || fail "promtool finds fault with the rules"
(cd "$example" && promtool test rules alerts_test.yml) || fail "the rules do not ring as they should"
needs prometheus prometheus-node-exporter

# A process of which the next fork fails for certain: its user may have no further task.
pids=()
on_exit() {
  ((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null || true
  wait
}
as_user=()
((EUID != 0)) || as_user=(setpriv --reuid=65534 --clear-groups)
"${as_user[@]}" prlimit --nproc=1 sleep 600 &
pids+=($!)
victim=$!
until_true 10 grep -q '^Max processes *1 ' "/proc/$victim/limits" || fail "prlimit"
until_true 10 grep -qx sleep "/proc/$victim/comm" || fail "sleep"

mkdir textfiles data
"$example/collect.sh" "$work/textfiles" "$export_log" || fail "collect.sh"
same log.prom textfiles/ovc_log.prom
[[ $(find textfiles -name '.*' -type f | wc -l) == 0 ]] || fail "collect.sh leaves something behind"
finds "^ovc_fork_passes\{pid=\"$victim\",comm=\"sleep\"\} 0\$" textfiles/ovc_check.prom
exporter=127.0.0.1:$(free_port) server=127.0.0.1:$(free_port)
prometheus-node-exporter --collector.disable-defaults --collector.textfile --collector.textfile.directory="$work/textfiles" \
  --web.listen-address="$exporter" >exporter.log 2>&1 &
pids+=($!)
cat >prometheus.yml <<YML
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [$example/alerts.yml]
scrape_configs:
  - job_name: node
    static_configs: [{targets: ["$exporter"]}]
YML
promtool check config prometheus.yml >/dev/null || fail "prometheus.yml"
prometheus --config.file=prometheus.yml --storage.tsdb.path=data --web.listen-address="$server" >prometheus.log 2>&1 &
pids+=($!)
ask() { curl -s --max-time 10 --get "http://$server/api/v1/query" --data-urlencode "query=$1"; }
value() { ask "$1" | jq -r '.data.result[0].value[1] // empty'; }
scraped() { [[ -n $(value "$1") ]]; }
until_true 60 scraped 'ovc_log_info' || fail "not scraped: $(tail -3 exporter.log prometheus.log)"
until_true 60 scraped 'ovc_fork_passes' || fail "not scraped: $(tail -3 exporter.log prometheus.log)"
[[ $(value 'node_textfile_scrape_error') == 0 ]] || fail "node_exporter: $(<exporter.log)"
[[ $(value 'ovc_log_newest_fork_charge_bytes{comm="fork_doubles"}') == "$charge" ]] || fail "charge in Prometheus"
[[ $(value 'sum(ovc_log_calls)') == $(awk '/^ovc_log_calls\{/ { sum += $NF } END { print sum }' log.prom) ]] || fail "calls in Prometheus"
# every line of both files is there with its value
curl -s --get "http://$server/api/v1/query" --data-urlencode 'query={__name__=~"ovc_.+"}' >answer
python3 - <<'PY'
import glob, json, re
wanted = {}
for path in glob.glob("textfiles/*.prom"):
    for line in open(path):
        if line.startswith("#"): continue
        name, labels, value = re.fullmatch(r'(\w+)(?:\{(.*)\})? (\S+)\n', line).groups()
        pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")
        unescape = lambda text: re.sub(r"\\(.)", r"\1", text)
        wanted[frozenset([("__name__", name)] + [(key, unescape(text)) for key, text in pairs if text])] = float(value)
got = {}
for row in json.load(open("answer"))["data"]["result"]:
    got[frozenset((key, text) for key, text in row["metric"].items() if key not in ("instance", "job"))] = float(row["value"][1])
assert got == wanted, set(got.items()) ^ set(wanted.items())
print(len(got), "series")
PY

# The panels: each question is one that Prometheus understands and has an answer to.
jq -r '.panels[].targets[].expr' "$example/dashboard.json" | sed 's/[$]instance/.*/' >questions
while read -r question; do
  ask "$question" >answer
  jq -e '.status == "success" and (.data.result | length > 0)' answer >/dev/null || fail "the panel asks in vain: $question: $(<answer)"
done <questions
# The alerts, with the example's rules: pending, then firing.
alerting() { curl -s --max-time 10 "http://$server/api/v1/alerts" | jq -e --arg name "$1" --arg comm "$2" '.data.alerts[] | select(.labels.alertname == $name and .labels.comm == $comm)' >/dev/null; }
until_true 60 alerting NextForkWouldFail sleep || fail "NextForkWouldFail does not ring"
until_true 60 alerting ForkRefused fork_once || fail "ForkRefused does not ring"
! alerting ForkRefused fork_doubles || fail "ForkRefused rings for a fork that was granted"
