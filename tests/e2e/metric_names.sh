#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Each metric that the dashboard and the alert rules of examples/prometheus ask for is one that ovc gives, spelled the same: from
# `ovc check --all --openmetrics` or from `ovc export --to openmetrics`, with the labels that they are asked by. Needs no Prometheus.
. "$(dirname "$0")/../fixtures/e2e.sh"
command -v jq >/dev/null || skip "jq is not installed"
example=$source_dir/examples/prometheus
under log.ovc env OVCSHIM_INJECT=fork:error=ENOMEM bash -c '(exit 1); true' 2>/dev/null || true
under log.ovc bash -c '(exit 0); true'
ovc check --all --openmetrics >given || (($? == 1))
ovc export log.ovc --to openmetrics >>given
sed -n 's/^# TYPE \([a-z_]*\) .*/\1/p' given | sort -u >names
{ jq -r '.. | .expr? // empty' "$example/dashboard.json"; jq -r '.. | .query? // empty | strings' "$example/dashboard.json"; cat "$example/alerts.yml"; } |
  grep -oE '\bovc_[a-z_]+\b' | grep -vxE 'ovc_(check|log)' | sort -u >asked
(($(wc -l <asked) >= 12)) || fail "only these are asked for: $(<asked)"
sed 's/_total$//' asked | comm -23 - names >unknown
[[ ! -s unknown ]] || fail "asked for, and given by nobody: $(tr '\n' ' ' <unknown)"
# Labels in braces and behind `by`: ours, and those that Prometheus adds.
{ jq -r '.. | .expr? // empty' "$example/dashboard.json"; grep expr: "$example/alerts.yml"; } >expressions
{ grep -oE '\{[^}]*\}' expressions | grep -oE '[a-z_]+ *(=~|!~|!=|=)' | tr -d ' =~!'
  grep -oE 'by \([^)]*\)' expressions | sed 's/by//' | tr -d '() ' | tr ',' '\n'; } | sort -u >labels
sed -nE 's/^ovc_[a-z_]*\{(.*)\} [^ ]*$/\1/p' given | grep -oE '(^|,)[a-z_]+="' | tr -d ',="' | sort -u >have
printf '%s\n' file instance job >>have  # of Prometheus and node_exporter
sort -u have -o have
comm -23 labels have >unknown
[[ ! -s unknown ]] || fail "labels that nothing has: $(tr '\n' ' ' <unknown)"
