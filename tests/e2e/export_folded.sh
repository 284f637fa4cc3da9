#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Folded stacks: exact sums by stack for each weight, and a real renderer of flame graphs that comes to the same.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/exports.sh"

for weight in charge bytes count; do
  exits 0 ovc export "$export_log" --to folded --weight $weight -o $weight.folded
  ! grep -vE '^[^ ;]+(;[^ ;]+)+ [0-9]+$' $weight.folded || fail "not folded"
done
exits 0 ovc export "$export_log" --to folded >default.folded 2>messages
same charge.folded default.folded
[[ ! -s messages ]] || fail "messages: $(<messages)"
# sum FUNCTION WEIGHT: of the stacks in which a function stands
sum() { awk -v name=";$1;" 'index($1, name) { sum += $2 } END { printf "%.0f\n", sum }' "$2.folded"; }
[[ "$(sum by_mremap charge) $(sum by_mremap bytes) $(sum by_mremap count)" == "$((256 << 20)) $((256 << 20)) 64" ]] || fail "mremap: $(<charge.folded)"
[[ "$(sum by_sbrk charge) $(sum by_sbrk count)" == "$((64 << 20)) 64" ]] || fail "sbrk"
# mprotect makes charge of what was only address space: mapped by one call, charged by the other.
grep -qE ';by_mprotect;mprotect 134217728$' charge.folded || fail "mprotect, charge"
grep -qE ';by_mprotect;mmap 134217728$' bytes.folded || fail "mprotect, bytes"
! grep -qE ';by_mprotect;mmap ' charge.folded || fail "PROT_NONE is not charged"
grep -qE '^fork_doubles;.*;main;mmap 335544320$' charge.folded || fail "fork_doubles"
ovc export "$export_log" --to sqlite -o tree.db
if command -v sqlite3 >/dev/null; then
  [[ $(sqlite3 tree.db 'SELECT sum(charged_bytes) FROM v_growth_by_caller') == $(awk '{ sum += $2 } END { printf "%.0f\n", sum }' charge.folded) ]] ||
    fail "the stacks and the table differ"
fi

. "$source_dir/tests/fixtures/speedscope.sh"
rendered charge.folded >shown
cat shown
finds "^$((256 << 20)) 0 by_mremap$" shown
finds "^$((64 << 20)) 0 by_sbrk$" shown
finds "^$((320 << 20)) 0 fork_doubles$" shown
finds "^$((252 << 20)) $((252 << 20)) mremap$" shown
