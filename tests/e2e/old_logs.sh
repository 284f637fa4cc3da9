#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Logs of every format version there was, stored in tests/old_logs as their own shims wrote them (`sh -c "fork_once; malloc_1tb"` in
# mode 0), are read by this ovc; logs of versions to come are read where their flags allow it, and refused by name where not.
. "$(dirname "$0")/../fixtures/e2e.sh"
command -v xz >/dev/null || skip "no xz"
current=$(sed -n 's/^inline constexpr uint32_t kFormatVersion = \([0-9]*\);.*/\1/p' "$source_dir/shim/format/log_format.h")
stored=$(find "$source_dir/tests/old_logs" -type f -printf '%f\n' | sed -n 's/^version\([0-9]*\)\.ovc\.xz$/\1/p' | sort -n | xargs)
[[ $stored == "$(seq -s ' ' "$current")" ]] || fail "stored are the versions $stored, but there were those up to $current: store one of each"

for version in $stored; do
  log=version$version.ovc
  xz -dc "$source_dir/tests/old_logs/$log.xz" >"$log"
  exits 0 ovc stats --json "$log" >stats.json
  jq -e --argjson version "$version" '.format == $version and .shim == "0.1.0"' stats.json >/dev/null || fail "$log: $(<stats.json)"
  jq -e '[.processes[].totals.calls.malloc.failed // 0] | add == 1' stats.json >/dev/null || fail "$log: counters"
  exits 1 ovc why --json "$log" >why.json
  jq -e '.verdicts | length == 1 and (.[0] | .op == "malloc" and .errno == "ENOMEM" and .comm == "malloc_1tb" and
    .requested_bytes == 1099511627776 and .cause == "single-request-over-ram-and-swap" and .charge.kb == 1073741824 and
    .would_pass.mode0 == false and .would_pass.mode1 == true)' why.json >/dev/null || { cat why.json; fail "$log: the verdict"; }
  ovc forks --json "$log" >forks.json || true
  jq -e '[.forks[] | .child.end] == ["exited, 0", "exited, 7", "exited, 1"]' forks.json >/dev/null || { cat forks.json; fail "$log: forks"; }
  ovc show --op malloc --min-size 1G "$log" >shown || true
  finds 'malloc\(1099511627776\) = NULL ENOMEM' shown
  ovc maps "$log" >mapped || true
  finds '^process ' mapped
  for format in json csv sqlite perfetto folded openmetrics; do ovc export --to $format -o exported.$format "$log" || fail "$log: export to $format"; done
  ovc report -o report.html "$log" || (($? == 1)) || fail "$log: report"
done

# with FILE OFFSET BYTES: bytes of the header replaced (shim/format/log_format.h, FileHeader)
with() { printf '%b' "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
cp "version$current.ovc" next.ovc
with next.ovc 20 "$(printf '\\x%02x' $((current + 1)))"'\x00\x00\x00'
exits 1 ovc why next.ovc >next.out 2>next.err  # a version that only adds is read as far as it is known
finds '^malloc of 1,099,511,627,776 bytes refused with ENOMEM' next.out
cp next.ovc compatible.ovc
with compatible.ovc 40 '\x00\x00\x00\x00\x00\x00\x00\xf0'
exits 1 ovc why compatible.ovc >out
with next.ovc 32 '\x00\x00\x00\x00\x00\x00\xf0\x00'
exits 2 ovc why next.ovc >out 2>err
finds "^ovc: next.ovc: needs a newer ovc: format version $((current + 1)), written by shim 0.1.0; this ovc knows $current" err
