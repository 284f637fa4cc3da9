#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Another preloaded library in the same process, before the shim and behind it, and two at once: programs do what they do with
# that library alone, their forks are linked, and ovc says whose malloc it was.
# Pitfalls: two interposers in one process (RTLD_NEXT from our own object, cached once); allocator start-up through mmap and
# dlsym; fork handlers of allocators and tracers; size of requests unchanged; errno.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/beside.sh"
# shellcheck disable=SC2034  # in_front and behind are for alike

# file name in the loader's cache, whether it serves malloc
declare -A serves=([libjemalloc.so.2]=1 [libtcmalloc_minimal.so.4]=1 [libmimalloc.so.2]=1 [libeatmydata.so.1]=0 [liblttng-ust-fork.so.1]=0
  [liblttng-ust-libc-wrapper.so.1]=1 [liblttng-ust-pthread-wrapper.so.1]=0)
export LTTNG_UST_REGISTER_TIMEOUT=0  # nobody listens
cat >forks.py <<'P'
import multiprocessing, os, subprocess, threading
def work(n): return sum(i * i for i in range(n))
threads = [threading.Thread(target=work, args=(20000,)) for _ in range(3)]
for t in threads: t.start()
for i in range(3):
    pid = os.fork()
    if pid == 0: os._exit(len(str(work(5000))) + i)
    print("fork", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
for t in threads: t.join()
with multiprocessing.get_context("fork").Pool(2) as pool: print(pool.map(work, [10, 100, 1000]))
print(subprocess.run(["sh", "-c", "echo $((6*7))"], capture_output=True, text=True).stdout)
P
python=$(python3 -c 'import sys; print(sys.executable)')  # not a wrapper in shell

tested=0
for name in "${!serves[@]}"; do
  other=$(library "$name") || continue
  tested=$((tested + 1))
  # The shim's wrappers first: all calls are seen, and go on to the other library.
  in_front="" behind=$other
  alike first "$build/hostile/allocations"
  sees first.1.ovc malloc realloc free fork vfork posix_spawn popen
  linked first.1.ovc 8
  linked first.0.ovc 8
  if ((${serves[$name]})); then
    ovc stats --json first.1.ovc | jq -r '[.processes[].served_by.malloc // empty] | unique | join(" ")' >server
    grep -q "${name%%.so*}" server || fail "malloc served by $(<server), not $name"
  fi
  alike python "$python" -W ignore::DeprecationWarning forks.py  # of fork() beside threads, with the pid
  linked python.1.ovc 5
  # The other library's first: it is asked, and passes on what it does not serve itself.
  in_front=$other behind=""
  alike behind "$build/hostile/allocations"
  sees behind.1.ovc fork vfork posix_spawn popen
  linked behind.1.ovc 8
  linked behind.0.ovc 8
  ((!${serves[$name]})) || not_seen behind.1.ovc "malloc.* of .*/allocations: ${name%%.so*}.* comes before the shim"
  alike operators "$build/hostile/operators"
  # shellcheck disable=SC2016  # for the inner shell
  alike bash bash -c 'for i in {1..20}; do (exit $i); a=$(echo $i); done; echo $a | cat; wait'
  linked bash.1.ovc 40
  rm -f ./*.ovc
done
((tested)) || skip "none of these libraries is installed"

# Two at once, on either side and around.
if first=$(library libjemalloc.so.2) && second=$(library libeatmydata.so.1); then
  for pair in "$first:$second:" ":$first:$second" "$second::$first" "$first::$second"; do
    in_front=${pair%%::*} behind=${pair##*::}
    case $pair in
      :*) in_front="" behind=${pair#:} ;;
      *:) in_front=${pair%:} behind="" ;;
    esac
    alike two "$build/hostile/allocations"
    linked two.1.ovc 8
  done
fi

# A server that forks to save, with LTTng's fork wrapper and eatmydata around the shim.
if command -v redis-server >/dev/null && first=$(library liblttng-ust-fork.so.1) && second=$(library libeatmydata.so.1); then
  saves() {
    (env LD_PRELOAD="$1" OVCSHIM_LOG="$work/redis.ovc" redis-server --port 0 --unixsocket "$work/s" --dir "$work" --save '' >redis.out 2>&1) &
    local server=$! left=1200
    until [[ $(redis-cli -s s ping 2>/dev/null || true) == *PONG* ]]; do
      if ((left-- == 0)) || ! kill -0 $server; then fail "redis-server: $(cat redis.out)"; fi
      sleep 0.05
    done
    redis-cli -s s debug populate 20000 key 100 >/dev/null
    redis-cli -s s bgsave >/dev/null
    left=1200
    until [[ $(redis-cli -s s info persistence) == *rdb_bgsave_in_progress:0* ]]; do ((left--)) || fail "BGSAVE goes on"; sleep 0.05; done
    redis-cli -s s info persistence | grep -o 'rdb_last_bgsave_status:[a-z]*'
    redis-cli -s s shutdown nosave >/dev/null 2>&1 || true
    wait $server
  }
  [[ $(saves "$first:$shim:$second") == rdb_last_bgsave_status:ok ]] || fail "BGSAVE between two preloads"
  linked redis.ovc 1
  ovc forks redis.ovc >forks.out || (($? == 1))
  finds BGSAVE forks.out
fi
echo "$tested libraries beside the shim"
