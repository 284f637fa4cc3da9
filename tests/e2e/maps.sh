#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `ovc maps` of living programs against the kernel: the accountable sum without the stack is that of /proc/PID/smaps, kB for kB, and
# the biggest mapping is the kernel's. redis-server (jemalloc) and bash (glibc's malloc), in modes 0 and 2; a redis started in mode 2 has its heap charged.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/redis.sh"
child=
on_exit() {
  redis_stop
  [[ -z $child ]] || kill "$child" 2>/dev/null || :
}

if [[ ${1-} != --inside ]]; then
  for mode in "0" "2 +3500M"; do
    status=0
    # shellcheck disable=SC2086 # two words
    overcommit.sh $mode -- "$source_dir/tests/e2e/maps.sh" --inside || status=$?
    ((status == 0)) || exit $status
  done
  exit 0
fi

# kernel_says PID: the sum of what is accountable and the largest of it, in kB; the stack, which grows without a call, is left out
kernel_says() {
  awk '/^Size:/ { kb = $2 } /^VmFlags:/ && / ac( |$)/ && !/ gd( |$)/ { sum += kb; if (kb > most) most = kb }
    END { print sum, most }' "/proc/$1/smaps"
}

# agrees LOG PID WHAT. A server that has just given memory free goes on with it for seconds (jemalloc's decay): a comparison counts
# when the kernel says the same before and after.
agrees() {
  local log=$1 pid=$2 kernel ledger after tries=0
  until kernel=$(kernel_says "$pid") && exits 0 ovc maps --json --pid "$pid" "$log" >maps.json && after=$(kernel_says "$pid") &&
    [[ $kernel == "$after" ]]; do
    ((++tries < 1000)) || fail "$3: the memory goes on changing: $kernel, then $after"
  done
  ledger=$(jq -r '[.mappings[] | select(.flags | test(" gd") | not)] | map(.charged) as $c
    | "\($c | map(.low_kb) | add) \($c | map(.high_kb) | add)"' maps.json)
  read -r sum most <<<"$kernel"
  read -r low high <<<"$ledger"
  read -r least largest <<<"$(jq -r '"\(.biggest.low_kb) \(.biggest.high_kb)"' maps.json)"
  ((low == sum && high == sum)) || fail "$3: the kernel says $sum kB, ovc maps $low to $high"
  ((least <= most && most <= largest)) || fail "$3: the kernel's biggest mapping is $most kB, ovc maps says $least to $largest"
  echo "mode $(</proc/sys/vm/overcommit_memory), $3: $sum kB, biggest $most kB ($least to $largest)"
}

# Room for every call: of a big server no new list is made while it runs, and what was overwritten cannot be replayed.
redis_start "$work/redis" LD_PRELOAD="$shim" OVCSHIM_LOG="$work/redis.ovc" OVCSHIM_EVENTS_SIZE=256M
agrees redis.ovc "$redis_pid" "redis, empty"
redis_fill 200
agrees redis.ovc "$redis_pid" "redis, 200 MiB"
[[ $(redis bgsave) == Background* ]] || fail "no BGSAVE"
redis_bgsave_ends
agrees redis.ovc "$redis_pid" "redis, after BGSAVE"
[[ $(redis flushall sync) == OK ]] || fail "no FLUSHALL"
agrees redis.ovc "$redis_pid" "redis, emptied"
redis_stop

mkfifo ready go
# shellcheck disable=SC2016 # for the inner shell
env LD_PRELOAD="$shim" OVCSHIM_LOG=bash.ovc bash -c 'declare -A list; for ((i = 0; i < 20000; i++)); do list[$i]=$i; done
  text=$(printf "%*s" 3000000 x); unset text; echo >ready; read -r _ <go' &
child=$!
read -r _ <ready
agrees bash.ovc "$child" "bash"
echo >go
wait "$child"
child=
exits 0 ovc stats --json bash.ovc >stats.json
[[ $(jq -r '.processes[0].growth | .kernel_kb == .explained_low_kb' stats.json) == true ]] || fail "bash's growth is not explained"
