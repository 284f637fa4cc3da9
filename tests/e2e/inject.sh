#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every call that can be refused on request is: the right one of several, with the errno asked for, marked as injected in the
# record and the verdict; and nothing else is.
. "$(dirname "$0")/../fixtures/e2e.sh"
calls=(malloc calloc realloc reallocarray posix_memalign aligned_alloc memalign valloc pvalloc mmap munmap mremap mprotect
  madvise brk sbrk fork _Fork vfork clone pthread_create posix_spawn posix_spawnp popen system forkpty thrd_create shmget shmat
  mlock mlockall memfd_create shm_open ftruncate fallocate posix_fallocate clone-by-number mmap-by-number)
for call in $(without_terminals "${calls[@]}"); do
  rm -f log.ovc
  third=3
  [[ $call != brk ]] || third=4  # libc's own question where the break is comes first
  # 28 is ENOSPC: nothing else here gives it
  error=ENOSPC number=28 op=${call%-by-number}
  [[ $call != thrd_create ]] || error=ENOMEM number=12  # its codes know no other
  under log.ovc env OVCSHIM_INJECT="$op:error=$error:when=$third" asks_all "$call" >got
  grep -qx "$call:0 0 $number 0" got || fail "$call: $(<got)"
  exits 1 ovc show --json --failed --op "$op" log.ovc >records
  [[ $(jq -r '[.op, .errno, (.flags | index("injected") != null)] | join(" ")' records) == "$op $error true" ]] ||
    fail "$call: recorded as $(<records)"
  [[ $(ovc why --json log.ovc | jq -r '[.verdicts[].cause] | unique | join(" ")') == injected ]] || fail "$call: not said to be injected"
done

# A daemon that could not fork stays what it was.
under log0.ovc env OVCSHIM_INJECT=daemon:error=ENOMEM daemonizes "$work/status" || (($? == 2)) || fail "daemon: exit status $?"
exits 1 ovc show --failed --op daemon log0.ovc >shown
finds 'daemon\(0, 0\) = -1 ENOMEM \[injected\]' shown

# Calls inside libc are refused too, as by strace; malloc copes with the second one and fails with all.
under log1.ovc env OVCSHIM_INJECT='mmap:error=ENOMEM:size>=200000:when=1' asks_all malloc >got
grep -qx 'malloc:0 0 0 0' got || fail "malloc could have grown the heap instead: $(<got)"
under log2.ovc env OVCSHIM_INJECT='mmap,brk:error=ENOMEM:size>=0' asks_all malloc >got
grep -qx 'malloc:12 12 12 12' got || fail "malloc without mmap and brk: $(<got)"

# A rule that says nonsense is told, and harms nobody.
: >errors
under log4.ovc env OVCSHIM_INJECT='fork:error=E' asks_all fork >got 2>>errors
grep -qx 'fork:0 0 0 0' got || fail "a rule that was not understood: $(<got)"
grep -q "^ovcshim: OVCSHIM_INJECT: not an errno at 'E'; nothing is refused by it$" errors || fail "said: $(<errors)"
exits 2 ovc run -o log5.ovc --inject 'fork:error=E' -- true 2>errors
grep -q '^ovc: --inject: not an errno' errors || fail "said: $(<errors)"
[[ ! -e log5.ovc ]] || fail "started all the same"
