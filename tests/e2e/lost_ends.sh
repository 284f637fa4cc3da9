#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Ends of which the reason is known although no call was refused: the OOM killer of a memory group took a process whose parent is not
# recorded; SIGBUS of a touch for which a file system in memory (/dev/shm) has no room; and what is neither.
. "$(dirname "$0")/../fixtures/e2e.sh"

# --- a file that is longer than its file system is large
cat >touches.c <<'END'
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
int main(int count, char** words) {
  const size_t bytes = 8 << 20;
  const int fd = open(words[1], O_RDWR | O_CREAT, 0600);
  if (count != 2 || fd < 0 || ftruncate(fd, bytes)) return 3;
  char* at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return 3;
  memset(at, 1, bytes);
  return 0;
}
END
if type -P gcc >/dev/null && ((EUID == 0)) && unshare -m true 2>/dev/null; then
  gcc -o touches touches.c
  mkdir small
  # shellcheck disable=SC2016 # the inner shell's
  unshare -m env PATH="$PATH" bash -c 'mount -t tmpfs -o size=2m none small && cd small &&
    env LD_PRELOAD="$0" OVCSHIM_LOG="$1" bash -c "ulimit -c 0; ../touches file; exit \$?"' "$shim" "$work/bus.ovc" 2>/dev/null ||
    (($? == 135)) || fail "the situation could not be made"
  exits 1 ovc why bus.ovc >told
  finds '^touches \(pid [0-9]+\) was killed by SIGBUS' told
  finds 'suspect: the file system in memory .* 8,192 kB of a file there were mapped, and all of it holds 2,048 kB  \(not proven\)' told
  finds 'to do: a larger size= of the mount \(docker --shm-size' told
  # A file that ends early: no word of a full file system
  # shellcheck disable=SC2016
  exits 135 under cut.ovc bash -c 'ulimit -c 0; python3 -c "
import mmap, os
f = os.open(\"cut\", os.O_RDWR | os.O_CREAT)
os.ftruncate(f, 8192)
m = mmap.mmap(f, 8192)
os.ftruncate(f, 0)
m[0]"; exit $?' 2>/dev/null
  exits 1 ovc why cut.ovc >told
  finds 'suspect: a page beyond the end of a mapped file was touched' told
  ! grep 'file system in memory' told >&3 || fail "a full file system is suspected of a file on a disk"
else
  echo "not tested: SIGBUS (no compiler, or not root)"
fi

# --- a sanitizer's shadow memory under RLIMIT_AS: its system calls are not seen, the limit is named
printf 'int main(void) { return 0; }\n' >nothing.c
if gcc -fsanitize=address -o checked nothing.c 2>/dev/null && ./checked; then
  (ulimit -v 2000000 && under shadow.ovc ./checked) 2>/dev/null && fail "a sanitizer lives with RLIMIT_AS"
  exits 1 ovc why shadow.ovc >told
  finds 'suspect: libasan.* maps terabytes of address space .* RLIMIT_AS is 2,000,000 kB  \(not proven\)' told
  # One that leaves by exit(1): nothing was refused in what was seen, and the limit is named all the same.
  if clang -fsanitize=memory -o exits nothing.c 2>/dev/null && ./exits; then
    under shadow_exit.ovc bash -c 'ulimit -v 2000000; ./exits; :' 2>/dev/null
    exits 0 ovc why shadow_exit.ovc >told
    finds 'exits \(pid [0-9]+\) exited with 1; suspect: .* RLIMIT_AS is 2,000,000 kB  \(not proven\)' told
  fi
  under unlimited.ovc bash -c 'ulimit -c 0; ./checked; exit 0'
  exits 0 ovc why unlimited.ovc >told
  ! grep suspect told >&3 || fail "a limit is suspected where there is none"
else
  echo "not tested: a sanitizer's shadow memory (no compiler with its runtime, or vm.overcommit_memory = 2)"
fi

# --- the OOM killer of its group, and nobody recorded who could have been told
status=0
# shellcheck disable=SC2016
memcg.sh $((48 << 20)) bash -c 'env LD_PRELOAD="$0" OVCSHIM_LOG="$1" tail /dev/zero; [[ $? == 137 ]] || exit 3
  (exec ovc why "$1") >told; echo $? >answer' "$shim" "$work/lost.ovc" >memcg.out 2>&1 || status=$?
if ((status == 77)); then
  echo "not tested: $(tail -n 1 memcg.out)"
else
  ((status == 0)) || { cat memcg.out >&3; fail "the situation could not be made: $status"; }
  [[ $(<answer) == 1 ]] || { cat told >&3; fail "ovc why ends with $(<answer)"; }
  finds '^tail \(pid [0-9]+\): no exit recorded' told
  finds 'the OOM killer of its control group counted 1 kill since' told
  finds 'control group /.*: memory limit 49,152 kB' told
  finds 'to do: a higher memory limit for this service' told
  # The group is gone: then nothing is known of it, and nothing is a finding
  exits 0 ovc why lost.ovc >told
  ! grep 'of its control group counted' told >&3 || fail "a group that is gone is told of"
fi
