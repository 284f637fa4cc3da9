#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What is told about the program holds: README.md names every command, `ovc help environment` every variable that the shim reads, no page
# names a variable that there is not or links to a file that is not there, and pages stay short.
set -euo pipefail
cd "$(dirname "$0")/../.."
ovc=${OVC_BUILD:-build}/ovc
[[ -x $ovc ]] || { echo "skipped: no $ovc"; exit 77; }
bad=0
complain() { echo "$*"; bad=1; }

while read -r command; do
  grep -qE "^\| \`ovc ${command}[ \`]" README.md || complain "README.md has no row for ovc $command"
done < <("$ovc" help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')

read_by_shim=$(grep -oE '"OVCSHIM[A-Z_]*"' shim/session/session.cc | tr -d '"' | sort -u)
told=$("$ovc" help environment | sed -nE 's/^(OVCSHIM.*) \(default:.*/\1/p' | tr -d ' ' | tr ',' '\n' | sort -u)
diff -u --label "the shim reads" --label "ovc help environment" <(echo "$read_by_shim") <(echo "$told") || bad=1

mapfile -t pages < <(git ls-files -co --exclude-standard -- '*.md' 2>/dev/null || find . -name '*.md' -not -path './build*')
for page in "${pages[@]}"; do
  while read -r variable; do
    grep -qx "$variable" <<<"$read_by_shim" || complain "$page: no variable $variable"
  done < <(grep -oE '\bOVCSHIM(_[A-Z]+)*\b' "$page" | sort -u)
  while read -r link; do
    [[ -e ${page%/*}/$link || ($page != */* && -e $link) ]] || complain "$page: no file $link"
  done < <(grep -oE '\]\([^)#]+' "$page" | sed 's/^](//' | grep -v '^https\?:')
done
for page in README.md shim/*/README.md tools/*/README.md; do
  most=40
  [[ $page != README.md ]] || most=200
  (($(wc -l <"$page") <= most)) || complain "$page has more than $most lines"
done
echo "${#pages[@]} pages looked at"
exit $bad
