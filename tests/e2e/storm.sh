#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A storm of refusals (a program that retries, an allocator at its limit) is told once, with its count and the right cause, and one
# proof serves for all of it: counted in system calls, not timed.
. "$(dirname "$0")/../fixtures/e2e.sh"

# told LOG CAUSE COUNT: all refusals of it are one verdict
verdicts() { ovc why --json "$1" >why.json || (($? == 1)) || fail "ovc why $1"; jq -r '.verdicts[] | "\(.op) \(.errno) \(.cause) \(.count)"' why.json; }
told() {
  verdicts "$1.ovc" >got
  printf '%s\n' "${@:2}" >expected
  same expected got "verdicts of $1"
}

exits 0 under as.ovc storms as 5000
told as "mmap ENOMEM rlimit-as 5000"
exits 0 under sites.ovc storms sites 5000
told sites "mmap ENOMEM rlimit-as 2500" "mmap ENOMEM rlimit-as 2500"
exits 0 under malloc.ovc storms malloc 2000
told malloc "malloc ENOMEM rlimit-as 2000"
exits 0 under two.ovc storms two 2000
told two "mmap ENOMEM rlimit-as 4000"
# Something is granted before each: what changed is read anew, and the cause is as certain.
exits 0 under granted.ovc storms granted 2000
told granted "mmap ENOMEM rlimit-as 2000"

# A limit on tasks, with mappings made and given back between the refusals: as certain, whatever asks for the task.
for way in fork vfork spawn system popen thread; do
  exits 0 under "tasks.$way.ovc" storms "$way" 500
  verdicts "tasks.$way.ovc" >got
  (($(awk '$3 == "rlimit-nproc" { n += $4 } END { print n + 0 }' got) == 500)) || { cat got >&3; fail "storms $way: not every refusal has its cause"; }
done

# However little the log holds: what a storm is proven with outlives its records, and so do the names of who asked.
for size in 64K 256K 1M; do
  for storm in "as 20000" "granted 10000" "malloc 10000" "maps 20000 63000" "holes 20000 63000"; do
    [[ $storm != *63000 ]] || (($(</proc/sys/vm/max_map_count) == 65530)) || continue
    rm -f small.ovc
    # shellcheck disable=SC2086  # words
    OVCSHIM_EVENTS_SIZE=$size OVCSHIM_CALLS_SIZE=0 exits 0 under small.ovc storms $storm
    verdicts small.ovc >got
    if grep -v ' rlimit-as \| max-map-count ' got; then fail "storms $storm, $size: not every refusal has its cause"; fi
    [[ -s got ]] || fail "storms $storm, $size: nothing is told"
    ovc why small.ovc >why.txt || (($? == 1))
    finds 'asked by .*main' why.txt
  done
done

# The refusals of one storm refer to the first one's proof; ovc show says so.
ovc show --failed --json as.ovc >show.json || (($? == 1))
(($(jq -s '[.[] | select(.op == "mmap")] | length' show.json) == 5000)) || fail "not every refusal is in the log"

max=$(</proc/sys/vm/max_map_count)
if ((max <= 200000)); then
  exits 0 under maps.ovc storms maps 5000 $((max - 2000))
  verdicts maps.ovc >got
  finds '^mmap ENOMEM max-map-count 5000$' got
  ! grep -q unknown got || { cat got >&3; fail "a storm with many mappings is not proven"; }
  exits 0 under holes.ovc storms holes 5000 $((max - 2000))
  verdicts holes.ovc | awk '$1 == "mmap" { n[$3] += $4 } END { for (cause in n) print cause, n[cause] }' >got
  same <(echo "max-map-count 5000") got "holes where a mapping more is refused"
fi

if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
  # Lists of mappings read. How many is a matter of the time that they take beside all else, never of the number of refusals.
  lists() { # lists N CMD...: at most N
    local most=$1 count
    shift
    rm -f traced.ovc
    strace -f -e trace=openat -o opened -E LD_PRELOAD="$shim" -E OVCSHIM_LOG="$work/traced.ovc" storms "$@" >out || fail "strace storms $*"
    count=$(grep -c /smaps opened)
    echo "storms $*: $count lists of mappings"
    ((count <= most)) || fail "storms $*: the list of mappings is read $count times"
  }
  lists 100 as 10000
  lists 100 sites 10000
  lists 100 granted 3000
  # Of tasks no list is read at all.
  for way in fork vfork spawn system popen thread; do lists 5 "$way" 500; done
  lists 100 malloc 1000
fi
