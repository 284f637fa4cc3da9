#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# README.md has the table of the environment that the manual page has, and names every command that `ovc help` names.
set -euo pipefail
cd "$(dirname "$0")/../.."
made=${OVC_BUILD:-build}/docs/environment.md
[[ -e $made ]] || { echo "skipped: no $made"; exit 77; }
bad=0
diff -u --label README.md --label tools/cli/manual.cc <(sed -n '/^## Environment/,/^## /p' README.md | grep '^| `') "$made" || bad=1
while read -r command; do
  grep -qE "^\| \`ovc ${command}[ \`]" README.md || { echo "README.md has no row for ovc $command"; bad=1; }
done < <("${OVC_BUILD:-build}/ovc" help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
exit $bad
