#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Threads by the thousand: every call of every thread is counted, and no call costs a system call, however many threads live. Counted,
# not timed. Pitfalls covered: a table of threads that is full, a look at each thread to find a dead one, counters that are lost with
# their thread, a child forked by one of many.
. "$(dirname "$0")/../fixtures/e2e.sh"

# calls LOG: malloc and free of the whole log, wherever they are counted
calls() {
  ovc stats --json "$1" >stats.json || (($? == 1)) || fail "ovc stats $1"
  jq '[.processes[].totals, .retired, .shared] | [(map(.calls.malloc.calls // 0) | add), (map(.calls.free.calls // 0) | add)] | @tsv' -r stats.json
}
# counts WAY THREADS WORKERS [VAR=VALUE...]: what 100 pairs more in each of WORKERS threads add to the counters
counts() {
  local way=$1 threads=$2 workers=$3 pairs status more_malloc more_free malloc free
  shift 3
  for pairs in 100 200; do
    rm -f "$way.ovc"
    status=0
    under "$way.ovc" env "$@" threads "$way" "$threads" "$pairs" >out || status=$?
    ((status != 77)) || skip "$(tail -n 1 out)"
    ((status == 0)) || fail "threads $way $threads: exit status $status"
    read -r malloc free <<<"$(calls "$way.ovc")"
    if ((pairs == 100)); then more_malloc=$malloc more_free=$free; fi
  done
  more_malloc=$((malloc - more_malloc)) more_free=$((free - more_free))
  echo "$way, $threads threads${*:+, $*}: $more_malloc malloc and $more_free free more, $((workers * 100)) made"
  ((more_malloc == workers * 100 && more_free == workers * 100)) || fail "$way, $threads threads: calls are not counted exactly"
}
lost() { jq ".lost.$1" stats.json; }

status=0
env threads live 4096 1 >out || status=$?
((status != 77)) || skip "$(tail -n 1 out)"

counts live 4096 4096
(($(lost threads_unrecorded) == 0)) || fail "threads without state: $(lost threads_unrecorded)"
(($(lost threads_unslotted) == 0)) || fail "threads without counters of their own: $(lost threads_unslotted)"
(($(lost calls_lost_nested) == 0)) || fail "calls were lost"
counts live 1000 1000 OVCSHIM_CALLS_SIZE=64K  # 16 chunks
counts live 1000 1000 OVCSHIM_CALLS_SIZE=0
counts one 4096 1
counts fork 600 600
jq -e '[.processes[].pid] as $all | [.processes[] | select(.parent_pid | IN($all[]))] | length == 1' stats.json >/dev/null || fail "the child is not in the table"
# One after the other: state and counters of the dead serve the next.
counts churn 3000 3000
(($(jq '[.processes[].totals.threads] | add' stats.json) <= 128)) || fail "3,000 threads, two at a time, took $(jq '[.processes[].totals.threads] | add' stats.json) sets of counters"
# More threads than the log has counters for, where the system gives them: exact all the same.
if env threads live 6500 1 >out; then
  counts live 6500 6500
  (($(lost threads_unslotted) > 0)) || fail "6,500 threads all had counters of their own: the test says nothing"
fi

# System calls that ask who a thread is and whether it lives; a few belong to what is read by the clock.
if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
  traced() { # traced WAY THREADS PAIRS [VAR=VALUE...]
    local way=$1 threads=$2 pairs=$3 word words=()
    shift 3
    for word in "$@"; do words+=(-E "$word"); done
    rm -f traced.ovc
    strace -f -c -o counts.txt -E LD_PRELOAD="$shim" -E OVCSHIM_LOG="$work/traced.ovc" "${words[@]}" threads "$way" "$threads" "$pairs" >out ||
      { (($? == 77)) && cp out too_few; } || fail "strace: $(tail -n 1 out)"
    awk '$NF ~ /^(gettid|tkill)$/ { sum += $4 } END { print sum + 0 }' counts.txt
  }
  few=$(traced one 1000 1000) many=$(traced one 1000 101000)
  [[ ! -e too_few ]] || skip "$(tail -n 1 too_few)"
  echo "1,000 idle threads: 100,000 pairs more make $((many - few)) system calls more"
  ((many - few < 10000)) || fail "the calls of a thread beside 1,000 others make system calls"
  # Fewer chunks than threads: each try for one asks after 16 owners at most, and is made once in 4,096 calls.
  few=$(traced one 1000 1000 OVCSHIM_CALLS_SIZE=64K) many=$(traced one 1000 101000 OVCSHIM_CALLS_SIZE=64K)
  [[ ! -e too_few ]] || skip "$(tail -n 1 too_few)"
  echo "the same with 16 chunks: $((many - few))"
  ((many - few < 10000)) || fail "a call lane of 16 chunks costs system calls for each call"
  # What a thread costs at its start, beside few or many others.
  few=$(traced live 100 1) many=$(traced live 1100 1)
  [[ ! -e too_few ]] || skip "$(tail -n 1 too_few)"
  echo "1,000 threads more: $(((many - few) / 1000)) system calls each"
  ((many - few < 30000)) || fail "a thread's start costs more the more of them there are"
fi
