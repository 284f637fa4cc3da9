#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Advice in the service's own words under vm.overcommit_memory = 2. A child that only runs a program need not be a copy. jemalloc, as
# a library and linked statically, splits its memory into as many mappings as vm.max_map_count allows: what helps is the mode that it is
# started in, and that is the advice.
. "$(dirname "$0")/../fixtures/e2e.sh"
if [[ -z ${OVC_OVERCOMMIT_HELD-} ]]; then
  exec "$source_dir/tests/fixtures/overcommit.sh" 2 +8G -- "$source_dir/tests/e2e/own_words_mode2.sh"
fi
# Two forks that each ran a program; the third is one too many, since 5 GiB were promised before it, and are to be once more.
cat >runs.c <<'C'
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
  for (int i = 0; i < 3; ++i) {
    if (i == 2 && !malloc((size_t)5 << 30)) return 2;
    const pid_t pid = fork();
    if (pid == 0) execl("/bin/true", "true", (char*)0), _exit(9);
    if (pid < 0) return 1;
    waitpid(pid, 0, 0);
  }
  return 0;
}
C
${CC:-cc} -O0 -o runs runs.c 2>/dev/null || skip "no C compiler"
exits 1 under "$work/runs.ovc" ./runs
exits 1 ovc why "$work/runs.ovc" >runs.txt
finds "cause +commit limit reached" runs.txt
finds "^ +(to do +)?in the program: start programs with posix_spawn or vfork.*2 of them, all ran one" runs.txt

library=$(ldconfig -p | awk '/libjemalloc\.so\.2 .*x86-64/ && !n++ { print $NF }')
[[ -n $library ]] || skip "no libjemalloc.so.2"
cat >splits.c <<'C'
#include <stdlib.h>
int main(void) {
  enum { kBlocks = 160000 };
  static char* block[kBlocks];
  for (int i = 0; i < kBlocks; ++i) {
    if (!(block[i] = malloc(20480))) return 1;
    block[i][0] = 1;
  }
  for (int i = 0; i < kBlocks; i += 2) free(block[i]);
  for (int i = 0; i < 460000; ++i) {
    char* p = malloc(i < 400000 ? (size_t)1 << (12 + i % 8) : 32768 + 4096u * (unsigned)(i % 7));
    if (!p) return 1;
    p[0] = 1;
    if (i < 400000) free(p);
  }
  return 0;
}
C
${CC:-cc} -O1 -fno-builtin -o splits splits.c
export MALLOC_CONF=dirty_decay_ms:0,muzzy_decay_ms:0

# told LOG: the verdict and what to do about it
told() {
  exits 1 ovc why "$1" >"$1.txt"
  finds "cause +too many mappings \(vm.max_map_count\)" "$1.txt"
  finds "to do +start it under vm.overcommit_memory = 0 or 1: its allocator, jemalloc" "$1.txt"
  ! grep "a larger vm.max_map_count" "$1.txt" || fail "$1: it would only put it off"
}
exits 1 env LD_PRELOAD="$shim $library" OVCSHIM_LOG="$work/library.ovc" ./splits
told library.ovc
archive=$(dirname "$library")/libjemalloc.a
[[ -e $archive ]] || skip "no libjemalloc.a: jemalloc as a part of the program was not tried"
${CC:-cc} -O1 -fno-builtin -o splits_static splits.c "$archive" -lpthread -ldl -lm
exits 1 under "$work/static.ovc" ./splits_static
told static.ovc
