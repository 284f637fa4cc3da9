#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every system call of the shim fails, in every way of tests/trust/faults/calls.table: the program notices nothing.
#   faults.sh             each place in the shim's code that makes a call, at its first time (about two minutes)
#   faults.sh --times N   at N times of each: the first, the last and those evenly between; and under bash and python3 too. The
#                         programs make 5,000 to 11,000 calls, 2 to 4 faults of each, 5 in a second: all of them would take a day
. "$(dirname "$0")/../fixtures/e2e.sh"
[[ -x $build/fault_test ]] || skip "the tracer is for x86-64"
table=$source_dir/tests/trust/faults/calls.table
times=()
[[ ${1-} != --times ]] || times=(--times "$2")

# The table has the calls that the source has: direct ones, and those whose number goes through is_dead().
grep -ohE '\b(call|is_dead)\(__NR_[a-z0-9_]+' "$source_dir"/shim/*/*.cc "$source_dir"/shim/*/*.h | sed 's/.*__NR_//' | sort -u >source.calls
sed -E '/^(#|$)/d; s/ .*//' "$table" | sort >table.calls
same table.calls source.calls "the shim's calls: the table (-) and the source (+)"

# Two at a time: a run waits as much as it computes.
faults() {
  local jobs=() job shard status=0
  for shard in 0 1; do
    fault_test --shim "$shim" --ovc "$build/ovc" --table "$table" --work "$work" --shards 2 --shard "$shard" "${times[@]}" "$@" >"shard$shard" 2>&1 &
    jobs+=($!)
  done
  for job in "${jobs[@]}"; do wait "$job" || status=$?; done
  sed -n 's/^made: //p' shard0 >>made.calls
  grep -hv '^made: ' shard0 shard1 || true
  ((status != 77)) || skip "ptrace is not permitted here"
  ((status == 0)) || fail "fault_test $* ends with $status"
}

subject=$build/trust/subject
faults -- "$subject"
faults --internals --template -- "$subject"
# A filesystem without fallocate; a file under the log's name that never becomes a log: the word `ready` of its header is 0.
faults --base fallocate=always:EOPNOTSUPP --only pwrite64 -- "$subject"
under "$work/never.ovc" env OVCSHIM_EVENTS_SIZE=256K OVCSHIM_CALLS_SIZE=256K true
printf '\0\0\0\0' | dd of=never.ovc bs=1 seek=28 conv=notrunc status=none
for call in nanosleep renameat2; do faults --place "$work/never.ovc" --only "$call" -- /bin/true; done
# Where the log stands aside for mlockall.
for call in mremap munmap munlock rt_sigprocmask; do
  faults --only $call -- sh -c 'exec lock_all alone 3 2>/dev/null'
done
for call in capget brk shmget; do faults --rehearse mode=2 --only $call -- "$subject"; done
# What is only called when something has failed already.
faults --base openat=always:EACCES --only write -- /bin/true
# The line that says there is no log, wherever it goes; once in the tree, whatever of that fails.
for kind in '' pipe socket terminal; do
  [[ $kind != terminal ]] || python3 -c 'import os; os.openpty()' 2>/dev/null || continue
  faults --no-log --err "$kind" -- /bin/true
done
faults --no-log --err pipe --base vmsplice=always:ENOSYS --only ppoll -- /bin/true
faults --no-log --err socket --base sendto=EPIPE --only rt_sigtimedwait -- /bin/true
faults --base madvise=always:EINVAL --only munmap -- /bin/true
faults --base fallocate=ENOSPC --only unlinkat -- /bin/true
if ((${#times[@]})); then
  faults --internals --rehearse mode=2 -- "$subject"
  # shellcheck disable=SC2016  # for the inner shell
  faults --internals -- bash -c 'echo "$(seq 3 | sort -r)"; (exit 4); echo $?; ls /nowhere; exit 6'
  python=$(command -v /usr/bin/python3 || command -v python3)  # the program itself: what stands before it in PATH may be a shell script
  faults --internals -- "$python" -c 'import subprocess, threading; t = threading.Thread(target=lambda: print(len("x" * 10**7))); t.start(); t.join(); print(subprocess.run(["sh", "-c", "exit 3"]).returncode)'
fi

echo "never made in these runs: $(comm -23 <(sed -E '/^(#|$)/d; / -$/d; s/ .*//' "$table" | sort) <(sort -u made.calls) | xargs)"
