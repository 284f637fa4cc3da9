#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every call in the table is recorded as it was made, with its outcome; and it has the outcome it has without the shim.
. "$(dirname "$0")/../fixtures/e2e.sh"

shared_calls >plain.out
for internals in 0 1; do
  under shared$internals.ovc env OVCSHIM_LIBC_INTERNALS=$internals shared_calls >shim.out 2>shim.err || fail "shared_calls: exit status $?"
  same plain.out shim.out "shared_calls, OVCSHIM_LIBC_INTERNALS=$internals"
done
ovc show shared1.ovc >shown || (($? == 1))
for call in 'shmget\(0, 1048576, IPC_CREAT\|0600\) = [0-9]+  charge 1,024 kB' 'shmget\(0, 0, IPC_CREAT\|0600\) = -1 EINVAL' \
  'shmat\([0-9]+, NULL, 0\) = 0x' 'shmat\(-1, NULL, 0\) = -1 EINVAL' 'shmdt\(0x[0-9a-f]+\) = 0' 'mlock\(0x[0-9a-f]+, 4096\) = 0' \
  'mlock\(0x1000, 4096\) = -1 ENOMEM' 'mlock2\(0x[0-9a-f]+, 4096, MLOCK_ONFAULT\) = 0' 'munlock\(0x[0-9a-f]+, 4096\) = 0' \
  'mlockall\(0x40\) = -1 EINVAL' 'mlockall\(MCL_CURRENT\|MCL_ONFAULT\) = 0' 'munlockall\(\) = 0' \
  'memfd_create\("a name", MFD_CLOEXEC\) = [0-9]+' 'memfd_create\("", 0\) = -1 EFAULT' 'ftruncate\([0-9]+, 8192\) = 0' 'ftruncate\(-1, 1\) = -1 EBADF' \
  'fallocate\([0-9]+, 0, 0, 4096\) = 0' 'fallocate\([0-9]+, FALLOC_FL_PUNCH_HOLE, 0, 4096\) = -1 E[A-Z]+' \
  'posix_fallocate\([0-9]+, 0, 100\) = 0' 'posix_fallocate\(-1, 0, 100\) = EBADF' 'shm_open\("/ovcshim-test.[0-9]+", O_RDWR\|O_CREAT, 0600\) = [0-9]+' \
  'shm_open\(.*O_EXCL.*\) = -1 EEXIST' 'remap_file_pages\(0x[0-9a-f]+, 4096, PROT_NONE, 1, 0(x0)?\) = 0' \
  'mprotect\(0x[0-9a-f]+, 4096, PROT_READ\|PROT_WRITE\) = 0' 'mprotect\(0x[0-9a-f]+, 4096, PROT_READ\|PROT_WRITE, key 15\) = -1 E[A-Z]+' \
  'setrlimit\(RLIMIT_CORE, 100, 200\) = 0' 'setrlimit\(RLIMIT_CORE, 300, 100\) = -1 EINVAL' 'setrlimit\(RLIMIT_CORE, \?, \?\) = -1 EFAULT' \
  'prlimit\(0, RLIMIT_CORE, \?, \?, was 100, was 200\) = 0' 'prlimit\(0, RLIMIT_CORE, 90, 190\) = 0' 'unshare\(0\) = 0' 'unshare\(0x1\) = -1 EINVAL' 'setns\(-1, 0\) = -1 EBADF' \
  'mmap\(NULL, 4096, PROT_READ, MAP_PRIVATE\|MAP_ANONYMOUS, -1, 0\) = 0x' 'mmap\(NULL, 0, PROT_READ, .*\) = -1 EINVAL' 'brk\(NULL\) = 0x' \
  'wait4\(-1, .*\) = -1 ECHILD' 'waitid\(P_PID, 1, .*\) = -1 ECHILD'; do
  finds "(^| )$call" shown
done

# Children: all of them, by the call that made them; those that libc keeps to itself too.
under process.ovc process_calls >/dev/null
ovc forks --json process.ovc >forks.json || (($? == 1))
for call in $(without_terminals fork _Fork vfork clone posix_spawn system popen forkpty wordexp); do
  [[ $(jq -r --arg call "$call" '[.forks[] | select(.call == $call)] | length > 0 and all(.child.pid != null and .child.end != null)' forks.json) == true ]] ||
    { jq -c '.forks[] | [.call, .child]' forks.json >&3; fail "children of $call"; }
done
[[ $(jq '.children_of_unseen_calls | length' forks.json) == 0 ]] || fail "children of nobody: $(jq -c '.children_of_unseen_calls' forks.json)"

# A daemon: its parent's record is completed by the child, and the parent's end is known.
under daemon.ovc daemonizes "$work/status"
for _ in {1..1200}; do [[ ! -s status ]] || break; sleep 0.05; done
ovc forks --json daemon.ovc >forks.json || (($? == 1))
[[ $(jq -r '[.forks[] | select(.call == "daemon") | .child.pid != null] == [true]' forks.json) == true ]] || fail "daemon: $(<forks.json)"
