#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The shim's footprint is a guarantee: no thread, descriptor, socket, signal handler, timer, limit or change of environment is left
# in the process or in its children; each wrapper keeps to its budget of stack; the commit charge that the shim adds is what ovc
# says, and no more than 256 kB beside the file mapping.
. "$(dirname "$0")/../fixtures/e2e.sh"
stack_budget=4096  # bytes a wrapper may add to the stack of its caller; tests/bench/README.md states it
charge_budget_kb=256

for internals in 0 1; do
  env footprint >plain.out
  under "$work/a$internals.ovc" env OVCSHIM_LIBC_INTERNALS=$internals footprint >shim.out 2>shim.err
  same plain.out shim.out "footprint, OVCSHIM_LIBC_INTERNALS=$internals"
  [[ ! -s shim.err ]] || { cat shim.err >&3; fail "messages"; }
done
# What it links to and what it asks dlsym for; debug information (-d leaves it out) has names from libc's headers.
strings -d "$shim" >names
grep -qx malloc names || fail "no names of libc's functions found in the shim"
! grep -xE 'atexit|__cxa_atexit|__cxa_thread_atexit|sigaction|signal|pthread_atfork|setenv|putenv' names || fail "asks libc for what it must not have"

# Stack, without and with the shim: what the calls take more. Symbols bound before, or the loader's own stack would hide some of it.
LD_BIND_NOW=1 wrapper_stacks >plain.stack
LD_BIND_NOW=1 under "$work/stack.ovc" wrapper_stacks >shim.stack
same <(cut -d' ' -f1 plain.stack) <(cut -d' ' -f1 shim.stack) "calls whose stack is measured"
(($(wc -l <plain.stack) > 55)) || fail "the table is not made to its end: $(tail -n 1 plain.stack)"
while read -r name plain _ shimmed; do
  added=$((shimmed - plain))
  printf '%-22s %6d bytes of stack, %6d without the shim\n' "$name" "$shimmed" "$plain"
  ((added <= stack_budget)) || fail "$name: $added bytes of stack more than without the shim"
done < <(paste -d' ' plain.stack shim.stack)

# Charge: the private writable memory with "ac" that is ours, in smaps, is what ovc stats says. `sleep` is a program that does nothing.
env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/cost.ovc" sleep 100 &
sleeper=$!
on_exit() { kill $sleeper 2>/dev/null || :; }
until [[ $(tr '\0' ' ' </proc/$sleeper/cmdline) == "sleep 100 " ]] && grep -q libovcshim /proc/$sleeper/maps; do kill -0 $sleeper; done
until ovc stats cost.ovc >/dev/null 2>&1; do kill -0 $sleeper; done
said=$(ovc stats --json cost.ovc | jq '.processes[0].own_commit_kb')
sum_kb() { awk '/^[0-9a-f]+-[0-9a-f]+ / { size = 0 } /^Size:/ { size = $2 } /^VmFlags:.* ac/ { sum += size } END { print sum + 0 }' "$1"; }
with=$(sum_kb /proc/$sleeper/smaps)
kill $sleeper
wait $sleeper 2>/dev/null || :
sleep 100 &
sleeper=$!
until [[ $(tr '\0' ' ' </proc/$sleeper/cmdline) == "sleep 100 " ]] && grep -q '\[stack\]' /proc/$sleeper/maps; do kill -0 $sleeper; done
without=$(sum_kb /proc/$sleeper/smaps)
echo "charge added: $((with - without)) kB by smaps, $said kB by ovc stats"
((said <= charge_budget_kb && with - without <= charge_budget_kb)) || fail "more than $charge_budget_kb kB"
((said == with - without)) || fail "ovc stats says $said kB, smaps $((with - without)) kB"
