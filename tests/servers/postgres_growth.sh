#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What made a PostgreSQL backend grow is still told, all of it, when its records were overwritten ten times: at least 99 % of what the
# kernel's own lists of its mappings say.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/daemons.sh"
bin=$(find /usr/lib/postgresql/*/bin -maxdepth 0 2>/dev/null | sort -V | tail -1) || true
[[ -n $bin ]] || skip "no PostgreSQL (package postgresql)"
for_everybody
((EUID)) || chown postgres "$work"
as_user postgres
"${as[@]}" env LC_ALL=C "$bin/initdb" -D "$work/data" -U postgres -A trust --locale=C --no-sync >initdb.out 2>&1 || { cat initdb.out >&3; fail "initdb"; }

# One backend without a postmaster. Blocks from 64 kB on are mapped and unmapped one by one; the last query's sorted rows are still held
# when the backend ends, by a cursor.
{
  for ((i = 0; i < 60; i++)); do echo "select count(*), max(length(s)) from (select repeat(chr(65 + g % 26), 100000) as s from generate_series(1, 200) g order by 1) r"; done
  echo "begin"
  echo "declare held cursor with hold for select g, md5(g::text) from generate_series(1, 200000) g order by 2"
  echo "commit"
} >queries
"${as[@]}" env LC_ALL=C MALLOC_MMAP_THRESHOLD_=65536 OVCSHIM_EVENTS_SIZE=64K OVCSHIM_CALLS_SIZE=0 LD_PRELOAD="$shim" OVCSHIM_LOG="$work/postgres.ovc" \
  "$bin/postgres" --single -D "$work/data" -c work_mem=256MB -c fsync=off postgres <queries >answers 2>&1 || { tail -n 5 answers >&3; fail "postgres --single"; }

ovc stats --json postgres.ovc >stats.json
laps=$(jq '.lost.memory_units_overwritten' stats.json)
((laps >= 10 * 1664)) || fail "the ring was not lapped ten times: $laps units"
jq -c '.processes[] | select(.comm == "postgres") | .growth' stats.json
jq -e '[.processes[] | select(.comm == "postgres") | .growth | .kernel_kb > 10000 and .explained_low_kb / .kernel_kb >= 0.99 and .explained_high_kb / .kernel_kb <= 1.01] | any' stats.json >/dev/null ||
  fail "the growth is not explained"
