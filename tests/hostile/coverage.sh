#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `ovc stats` says what share of the growth of a process's accountable memory the recorded calls explain, and names what made
# the rest: all of it with libc's inside recorded, less without, nothing of what raw system calls map.
# Pitfall: an incomplete ledger that looks complete.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/beside.sh"
command -v gcc >/dev/null || skip "no gcc"
cat >grows_by.c <<'C'
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#define MB (1u << 20)
static void* raw_mmap(size_t n) {
#ifdef __x86_64__
  register long flags __asm__("r10") = MAP_PRIVATE | MAP_ANONYMOUS, fd __asm__("r8") = -1, offset __asm__("r9") = 0;
  void* r;
  __asm__ volatile("syscall" : "=a"(r) : "a"(9L), "D"(0L), "S"(n), "d"((long)(PROT_READ | PROT_WRITE)), "r"(flags), "r"(fd), "r"(offset)
                   : "rcx", "r11", "memory");
  return r;
#else
  return mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
#endif
}
static void deep(int n) { volatile char page[8192]; page[0] = 1; if (n) deep(n - 1); page[1] = 1; }
int main(int argc, char** argv) {
  (void)argc;
  switch (argv[1][0]) {
    case 'm': for (int i = 0; i < 3000; ++i) memset(malloc(10000), 1, 10000); break;
    case 'b': for (int i = 0; i < 20; ++i) memset(malloc(MB), 1, MB); break;
    case 'p': memset(mmap(NULL, 30 * MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1, MB); break;
    case 'r': memset(raw_mmap(30 * MB), 1, MB); break;
    case 's': deep(700); break;
  }
  return 0;
}
C
built grows_by gcc -O0 grows_by.c -lpthread
share() { ovc stats --json "$1" | jq -r '.processes[0].growth.percent | if . == null then "none" else floor end'; }
rest() { ovc stats --json "$1" | jq -r --arg kind "$2" '.processes[0].unexplained_kb[$kind] // 0'; }

for way in malloc blocks pages; do
  under "$work/$way.1.ovc" env OVCSHIM_LIBC_INTERNALS=1 ./grows_by $way
  [[ $(share $way.1.ovc) == 100 ]] || { ovc stats $way.1.ovc; fail "$way: explained $(share $way.1.ovc) %"; }
  ovc stats $way.1.ovc >out
  finds 'recorded calls explain \+[0-9]+ kB \(100.0 %\)' out
  ! grep -q '^  unexplained' out || fail "$way: names something as unexplained"
done
# Without libc's inside malloc's own mappings come from nowhere; it is said, with the kind and the reason.
for way in malloc blocks; do
  under "$work/$way.0.ovc" env OVCSHIM_LIBC_INTERNALS=0 ./grows_by $way
  (($(share $way.0.ovc) < 5)) || fail "$way without libc's inside: explained $(share $way.0.ovc) %"
  not_seen $way.0.ovc "libc's own system calls .malloc's heap.* are not recorded"
done
(($(rest malloc.0.ovc heap) > 25000)) || fail "heap: $(rest malloc.0.ovc heap) kB"
(($(rest blocks.0.ovc anonymous) > 20000)) || fail "anonymous: $(rest blocks.0.ovc anonymous) kB"
under "$work/pages.0.ovc" env OVCSHIM_LIBC_INTERNALS=0 ./grows_by pages
(($(share pages.0.ovc) >= 95)) || fail "pages: explained $(share pages.0.ovc) %"

if [[ $(uname -m) == x86_64 ]]; then
  under "$work/raw.ovc" ./grows_by raw
  [[ $(share raw.ovc) == 0 ]] || fail "raw: explained $(share raw.ovc) %"
  [[ $(rest raw.ovc anonymous) == 30720 ]] || fail "raw: $(rest raw.ovc anonymous) kB unexplained, not 30720"
  ovc stats raw.ovc >out
  finds '^  unexplained +30,720 kB anonymous .no recorded call asked for it.$' out
  not_seen raw.ovc 'system calls that bypass libc'
fi
under "$work/stack.ovc" ./grows_by stack
(($(rest stack.ovc stack) > 5000)) || fail "stack: $(rest stack.ovc stack) kB"

for name in libjemalloc.so.2 libtcmalloc_minimal.so.4 libmimalloc.so.2; do
  other=$(library $name) || continue
  LD_PRELOAD=$shim:$other OVCSHIM_LOG=$work/other.ovc ./grows_by malloc
  # Mapped NORESERVE or not, all of what is accountable came by a recorded call.
  [[ $(share other.ovc) == 100 || $(ovc stats --json other.ovc | jq '.processes[0].growth.kernel_kb') == 0 ]] ||
    { ovc stats other.ovc; fail "$name: explained $(share other.ovc) %"; }
  ! ovc stats other.ovc | grep '^  unexplained' || fail "$name: names something as unexplained"
  rm other.ovc
done
