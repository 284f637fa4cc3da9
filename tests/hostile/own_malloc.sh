#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Programs that bring an allocator: they define malloc or operator new themselves, link jemalloc under its own name or with a
# prefix, or cut blocks out of mappings. They run as without the shim; where malloc cannot be seen ovc says so, and who serves it.
# Pitfalls: a prefixed allocator inside the program (an empty report instead of a reason); malloc_usable_size and request sizes;
# sized and aligned operators; a program's malloc before the shim's in the loader's order.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/beside.sh"
calls=$source_dir/tests/hostile/allocations.c
command -v g++ >/dev/null || skip "no g++"

# C++: operators of libstdc++ end in the malloc that is seen; a program's own ones too.
alike operators operators
sees operators.1.ovc malloc free "aligned_alloc,posix_memalign"  # libstdc++ 12 calls the first, 14 the second
built own_operators g++ -std=c++20 -DOWN_OPERATORS "$source_dir/tests/hostile/operators.cc" -lpthread
alike own_operators ./own_operators
sees own_operators.1.ovc malloc free
# Sizes as asked for: counted by the program and by the log.
ovc show --op malloc operators.1.ovc >seen || (($? == 1))
grep -qE 'malloc\(333\) ' seen || fail "operator new(333) is not malloc(333)"

# malloc defined by the program, cut out of mappings of its own.
cat >bump.c <<'C'
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
static char *next_byte, *last_byte;
static int lock;
void* malloc(size_t n) {
  if (n > (size_t)1 << 40) { errno = ENOMEM; return NULL; }
  n = (n + 31) & ~(size_t)15;
  while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE)) {}
  if (n > (size_t)(last_byte - next_byte)) {
    size_t bytes = n > (4u << 20) ? n + 4096 : 4u << 20;
    next_byte = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    last_byte = next_byte + bytes;
  }
  size_t* block = (size_t*)next_byte;
  next_byte += n;
  __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
  block[0] = n - 16;
  return block + 2;
}
void free(void* p) { (void)p; }
void* calloc(size_t n, size_t m) { size_t all; return __builtin_mul_overflow(n, m, &all) ? (errno = ENOMEM, NULL) : malloc(all); }
void* realloc(void* p, size_t n) {
  void* fresh = malloc(n);
  if (fresh && p) memcpy(fresh, p, ((size_t*)p)[-2] < n ? ((size_t*)p)[-2] : n);
  return fresh;
}
size_t malloc_usable_size(void* p) { return p ? ((size_t*)p)[-2] : 0; }
C
cat >asks.c <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
  size_t sum = 0;
  for (int i = 1; i < 30000; ++i) {
    char* p = malloc((size_t)(i % 700));
    if (i % 700) p[0] = 1, sum += (size_t)p[0];
    p = realloc(p, 900);
    if (i % 3) free(p);
  }
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) { free(calloc(10, 1000)); _exit(4); }
  int status = 0;
  waitpid(pid, &status, 0);
  printf("%zu %#x\n", sum, (unsigned)status);
  return 0;
}
C
built bump gcc -O1 -fno-builtin asks.c bump.c
alike bump ./bump
linked bump.1.ovc 1
unseen bump.1.ovc malloc
not_seen bump.1.ovc "malloc.* of .*/bump: bump defines them and comes before the shim"
not_seen bump.1.ovc "blocks that bump in .*/bump hands out of the [0-9,]+ kB it mapped itself in [0-9]+ calls"

# The same allocator under another name: nothing stands before the shim, and malloc is hardly called.
sed -E 's/\b(malloc|calloc|realloc|free|malloc_usable_size)\(/my_\1(/g' bump.c >my_bump.c
sed -E 's/\b(malloc|calloc|realloc|free)\(/my_\1(/g; s/^int main/void *my_malloc(size_t), *my_calloc(size_t, size_t), *my_realloc(void*, size_t), my_free(void*);\nint main/' asks.c >my_asks.c
built arena gcc -O1 my_asks.c my_bump.c
alike arena ./arena
not_seen arena.1.ovc "blocks that arena in .*/arena hands out of the [0-9,]+ kB it mapped itself in [0-9]+ calls$"

# A library with an arena, brought in by dlopen: its mappings are named after it, those the loader makes for it are picked up.
built libarena.so gcc -shared -fPIC -O1 my_bump.c
cat >plugin.c <<'C'
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(void) {
  void* plugin = dlopen("./libarena.so", RTLD_NOW);
  if (!plugin) return puts(dlerror()), 1;
  void* (*make)(size_t);
  void* found = dlsym(plugin, "my_malloc");
  memcpy(&make, &found, sizeof make);
  for (int i = 0; i < 4000; ++i) *(char*)make(5000) = 1;
  if (fork() == 0) _exit(0);
  return 0;
}
C
built plugin gcc plugin.c -ldl
alike plugin ./plugin
not_seen plugin.1.ovc "blocks that libarena.so in .*/plugin hands out of"
ovc maps plugin.1.ovc >maps.out
finds 'libarena.so' maps.out

# jemalloc as the program's library, in the executable under the names of malloc, and in it with a prefix, as redis has it.
archive=/usr/lib/$(gcc -print-multiarch)/libjemalloc_pic.a
if [[ -e $archive ]]; then
  built dynamic gcc "$calls" -Wl,--no-as-needed -ljemalloc -lpthread -ldl
  alike dynamic ./dynamic
  sees dynamic.1.ovc malloc free fork
  ovc stats dynamic.1.ovc >stats.out
  finds 'served by .*libjemalloc.so.2: .*malloc' stats.out
  ! grep -q 'blocks that libjemalloc' stats.out || fail "jemalloc's blocks are said to be unseen, though they are seen"

  built inside gcc asks.c "$archive" -lpthread -ldl -lm -lstdc++
  alike inside ./inside
  linked inside.1.ovc 1
  not_seen inside.1.ovc "malloc.* of .*/inside: inside defines them and comes before the shim"

  for symbol in malloc calloc realloc free aligned_alloc posix_memalign memalign valloc malloc_usable_size; do echo "$symbol je_$symbol"; done >names
  objcopy --redefine-syms=names "$archive" libje.a 2>/dev/null || objcopy --redefine-syms=names --wildcard "$archive" libje.a
  sed 's/\bmy_/je_/g' my_asks.c >je_asks.c
  if built prefixed gcc je_asks.c libje.a -lpthread -ldl -lm -lstdc++; then
    alike prefixed ./prefixed
    linked prefixed.1.ovc 1
    not_seen prefixed.1.ovc "blocks that prefixed in .*/prefixed hands out of the [0-9,]+ kB it mapped itself in [0-9]+ calls?, having an allocator of its own \(je_malloc\)"
  fi
fi
for name in libtcmalloc_minimal.so.4 libmimalloc.so.2; do
  other=$(library $name) || continue
  built linked gcc "$calls" -Wl,--no-as-needed "$other" -lpthread -ldl
  alike linked ./linked
  sees linked.1.ovc malloc free fork
  ovc stats linked.1.ovc >stats.out
  finds "served by .*${name%%.so*}[^;]*malloc" stats.out
done
