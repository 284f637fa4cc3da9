#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `ovc attach` and `ovc detach`: the verdict of a redis-server that was started without anything is that of a preloaded one;
# libc and the mappings are as before afterwards; threads in malloc and signal handlers notice nothing; refusals.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/redis.sh"
[[ $(uname -m) == @(x86_64|aarch64) ]] || skip "attaching is for x86-64 and aarch64"
pids=()
on_exit() { exec 9>&-; redis_stop; for pid in "${pids[@]}"; do kill -KILL "$pid"; done 2>/dev/null || true; }

# code PID: what libc's code is, in memory
code() {
  python3 - "$1" <<'PY'
import hashlib, sys
pid = sys.argv[1]
for line in open(f"/proc/{pid}/maps"):
    words = line.split()
    if len(words) > 5 and words[5].endswith("/libc.so.6") and "x" in words[1]:
        start, end = (int(n, 16) for n in words[0].split("-"))
        with open(f"/proc/{pid}/mem", "rb", 0) as memory:
            memory.seek(start)
            print(words[5], hashlib.sha256(memory.read(end - start)).hexdigest())
PY
}
logs() { grep -c '\.ovc$' "/proc/$1/maps" || true; }

redis_start server
redis_fill 64
before=$(code "$redis_pid")
exits 0 ovc attach "$redis_pid" -o "$work/attached.ovc" >said
finds "^redis-server \(pid $redis_pid\) is recorded from now on, in $work/attached.ovc$" said
[[ $(code "$redis_pid") != "$before" ]] || fail "nothing was changed: then nothing can be seen"
exits 2 ovc attach "$redis_pid" -o "$work/second.ovc" 2>err
finds "is recorded already, in $work/attached.ovc" err
redis set some value >out
redis bgsave >out
redis_bgsave_ends
exits 0 ovc forks attached.ovc >listed
finds 'BGSAVE' listed
exits 0 ovc detach "$redis_pid" >said
finds 'is no longer recorded' said
[[ $(code "$redis_pid") == "$before" ]] || fail "libc's code is not as it was"
(($(logs "$redis_pid") == 0)) || fail "the log stayed mapped"
[[ $(redis get some) == value ]] || fail "the data"
exits 2 ovc detach "$redis_pid" 2>err
finds 'is not recorded' err

# Again and again, under load: no request fails, no key is lost.
wanted=${OVC_ATTACH_ROUNDS:-20}
redis-benchmark -p "$redis_port" -q -t set,get,lpush -n $((wanted * 15000)) -c 20 >load 2>&1 &
load=$!
rounds=0
how=()
[[ -z ${OVC_ATTACH_MALLOC-} ]] || how=(--malloc --calls-size 1M)
: >still
while kill -0 "$load" 2>/dev/null && ((rounds < wanted)); do
  ovc attach "${how[@]}" "$redis_pid" -o "$work/again.ovc" >said 2>err || fail "round $rounds: $(cat err)"
  sed -nE 's/.* stood still for ([^;]*);.*/\1/p' said >>still
  ovc detach "$redis_pid" >said 2>err || fail "round $rounds: $(cat err)"
  rm again.ovc
  rounds=$((rounds + 1))
done
wait "$load" || fail "the load: $(cat load)"
! grep -iE 'error|refused' load || fail "a request failed"
[[ $(code "$redis_pid") == "$before" ]] || fail "libc's code is not as it was"
[[ $(redis get some) == value && $(redis dbsize) -ge 16384 ]] || fail "the data"
redis_stop

# Threads in malloc and in signal handlers all the time.
mkfifo in
: >many.out  # before it is looked into
many_threads 64 <in >many.out 2>many.err &
pid=$!
pids+=("$pid")
exec 9>in
until [[ $(<many.out) == *ready* ]]; do kill -0 "$pid"; done
before=$(code "$pid")
for round in {1..5}; do
  ovc attach "$pid" -o "$work/many.$round.ovc" >said 2>err || fail "round $round: $(cat err)"
  ovc detach "$pid" >said 2>err || fail "round $round: $(cat err)"
done
[[ $(code "$pid") == "$before" ]] || fail "libc's code is not as it was"
exec 9>&-
wait "$pid" || fail "the program noticed: $(cat many.err)"
finds 'all right' many.out
ovc show many.1.ovc --op mmap --no-calls >out
finds 'mmap' out
# Median and worst, in ms: how long all threads stood still at an attach.
stops=$(awk '{ print $1 * ($2 == "s" ? 1000 : $2 == "us" ? 0.001 : $2 == "ns" ? 1e-6 : 1) }' still | sort -n |
  awk '{ v[NR] = $1 } END { printf "%.1f ms in the median, %.1f ms at worst", v[int((NR + 1) / 2)], v[NR] }')
echo "$rounds rounds under load; stood still for $stops"
