#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What made a PostgreSQL backend grow is still told, all of it, when its records were overwritten ten times: within 1 % of what the
# kernel says of its mappings before and after.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/daemons.sh"
. "$source_dir/tests/fixtures/postgres.sh"
for_everybody
((EUID)) || chown postgres "$work"
postgres_cluster || skip "no PostgreSQL (package postgresql)"

# One backend without a postmaster, which reads its queries from a pipe. Blocks from 64 kB on are mapped and unmapped one by one; what the
# last query sorted is still held when it is done.
mkfifo in
: >answers
"${as[@]}" env LC_ALL=C MALLOC_MMAP_THRESHOLD_=65536 OVCSHIM_EVENTS_SIZE=64K OVCSHIM_CALLS_SIZE=0 LD_PRELOAD="$shim" OVCSHIM_LOG="$work/postgres.ovc" \
  "$postgres_bin/postgres" --single -D "$work/data" -c work_mem=256MB -c fsync=off postgres <in >answers 2>&1 &
pid=$!
on_exit() { kill -9 "$pid" 2>/dev/null || true; }
exec 9>in
# done_with WORD: all queries up to now are answered
done_with() {
  echo "select '$1'" >&9
  until [[ $(<answers) == *"\"$1\""* ]]; do kill -0 "$pid" || { tail -n 5 answers >&3; fail "postgres --single"; }; done
}
# In kB: what the kernel counts in the commit limit of its mappings, and what recorded calls hold of it.
by_kernel() { awk '/^Size:/ { size = $2 } /^VmFlags:/ && / ac/ && !/ dc/ { sum += size } END { print sum }' "/proc/$pid/smaps"; }
by_calls() { ovc stats --stacks --json postgres.ovc | jq '.charged_now_kb | if .low == .high then .low else error("bounds") end'; }

done_with ready
kernel=$(by_kernel) calls=$(by_calls)
for ((i = 0; i < 60; i++)); do echo "select count(*), max(length(s)) from (select repeat(chr(65 + g % 26), 100000) as s from generate_series(1, 200) g order by 1) r"; done >&9
echo "begin" >&9
echo "declare held cursor with hold for select g, md5(g::text) from generate_series(1, 200000) g order by 2" >&9
echo "commit" >&9
done_with finished
kernel=$(($(by_kernel) - kernel)) calls=$(($(by_calls) - calls))
laps=$(ovc stats --json postgres.ovc | jq .lost.memory_units_overwritten)
exec 9>&-
wait "$pid" || fail "postgres --single ended with $?"
((laps >= 10 * 1664)) || fail "the ring was not lapped ten times: $laps units"
echo "grown by $kernel kB, recorded calls hold $calls kB of it"
((kernel > 10000 && calls >= kernel - kernel / 100 && calls <= kernel + kernel / 100)) || fail "the growth is not explained"
