#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Programs of musl (Alpine's) are recorded by the same library as those of glibc: unharmed, counted to the call, with names and
# verdicts, in one tree with programs of glibc, in both directions.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/beside.sh"
# As Alpine's compiler does by itself: the header of the frame table.
built musl musl-gcc -O1 -g -Wl,--eh-frame-hdr "$source_dir/tests/hostile/musl.c" || skip "no musl-gcc"
./musl >alone.out || (($? == 5)) || skip "programs of musl do not run here"
built plain musl-gcc -O1 "$source_dir/tests/hostile/allocations.c" || skip "musl-gcc"

alike same "$work/musl" /bin/true "$work/plain"
alike plain "$work/plain"

# Counted to the call, in all threads and children.
under tree.ovc "$work/musl" /bin/true "$work/plain" >/dev/null 2>&1 || (($? == 5))
ovc stats --json tree.ovc >stats.json
of() { jq "[.processes[] | select(.comm == \"musl\") | .totals.calls.$1.$2 // 0] | add" stats.json; }
equal() { (($(of "$1" "$2") == $3)) || fail "$1 $2: $(of "$1" "$2"), not $3"; }
equal malloc calls $((40 * 100 + 20 * 100 + 1 + 100))
equal malloc failed 1
equal free calls $((40 * 100 + 20 * 100 + 100))
equal pthread_create calls 40
equal fork calls 21
equal vfork calls 2
equal posix_spawn calls 2
jq -e '[.processes[] | select(.comm == "plain" and .totals.calls.popen)] | length == 2' stats.json >/dev/null || fail "children that are musl's"
jq -e '[.processes[] | select(.comm == "true" or .comm == "sh")] | length >= 2' stats.json >/dev/null || fail "children that are glibc's"
linked tree.ovc 25
ovc stats -n 0 tree.ovc >stats.out
! grep "left no records" stats.out || fail "said to be unseen"
finds 'in libc +system calls that libc makes itself are not recorded: this libc is musl' <(ovc stats tree.ovc)
under from_glibc.ovc bash -c "'$work/plain' >/dev/null; exec '$work/plain' >/dev/null" || true
jq -e '[.processes[] | select(.comm == "plain" and .totals.calls.popen)] | length == 2' <(ovc stats --json from_glibc.ovc) >/dev/null || fail "musl's programs under a shell of glibc"

# Verdicts, with the names of a file that has no build id, as long as it is the one that ran.
ovc why tree.ovc >why.out || (($? == 1))
finds '^mmap of 1,073,741,824 bytes refused with ENOMEM' why.out
finds 'cause +address space limit reached \(RLIMIT_AS\)' why.out
finds 'cause +larger than the address space of a process' why.out
finds 'asked by +main' why.out
cp musl copy
under refused.ovc env OVCSHIM_INJECT='fork:error=ENOMEM:when=21' "$work/copy" >refused.out || (($? == 5))
finds '^12$' refused.out
ovc why refused.ovc >why.out || (($? == 1))
finds 'asked by +save_in_background <- main' why.out
touch copy
ovc why refused.ovc >why.out || (($? == 1))
finds 'asked by +copy\+0x' why.out
