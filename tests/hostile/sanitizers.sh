#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Programs built with ASan and UBSan, or TSan, by g++ and clang: they run under the shim as without, and they still find what they
# are there to find. Without the shim's answer ASan ends a g++ program at once ("runtime does not come first"); the ways that
# its manual names work too: its library preloaded before the shim.
# Pitfalls: ASan "does not come first"; sanitizers that define malloc in the executable, before the shim in the loader's order.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/beside.sh"
export ASAN_OPTIONS=detect_leaks=0 # it needs ptrace, which containers may refuse; tested below where it works
unset CFLAGS
cat >faulty.c <<'C'
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static char* volatile block;
static void use_after_free(void) { block[3] = 1; }
int main(int argc, char** argv) {
  volatile int big = 0x7fffffff;
  block = malloc(10);
  if (strcmp(argv[1], "leak") == 0) { block = NULL; return 0; }
  if (strcmp(argv[1], "overflow") == 0) return (big += argc) != 0;
  if (strcmp(argv[1], "fork") == 0 && fork() != 0) return wait(NULL) < 0;
  free(block);
  use_after_free();
  return 0;
}
C
cat >own_options.c <<'C'
#include <stdio.h>
const char* __asan_default_options(void) { return "print_summary=0:verify_asan_link_order=0"; }
C
places() { grep -oE 'faulty.c:[0-9]+' "$1" | sort -u || true; }
# reports KIND PROGRAM ARGUMENT: it finds the fault under the shim, names the line and ends as without
reports() {
  local kind=$1 plain=0 shimmed=0
  shift
  "$@" >/dev/null 2>plain.report || plain=$?
  under "$work/report.ovc" "$@" >/dev/null 2>report || shimmed=$?
  ((plain == shimmed)) || fail "exit status $shimmed, without the shim $plain: $*"
  finds "$kind" plain.report
  finds "$kind" report
  same <(places plain.report) <(places report) "places that $* reports"
  rm -f report.ovc
}

tested=0
for compiler in gcc clang; do
  for kind in address,undefined thread; do
    name=$compiler.${kind/,/.}
    built "calls.$name" $compiler -g -fsanitize=$kind -DSANITIZED "$source_dir/tests/hostile/allocations.c" -lpthread -ldl || continue
    tested=$((tested + 1))
    timeout 60 "./calls.$name" >/dev/null 2>first.err || { echo "left out: $name does not run here without the shim: $(head -1 first.err)"; continue; }
    alike "$name" "./calls.$name"
    linked "$name.1.ovc" 6
    if [[ $compiler == clang ]]; then
      not_seen "$name.1.ovc" "malloc.* of .*/calls.$name: calls.$name defines them and comes before the shim"
    else sees "$name.1.ovc" malloc free
    fi
    [[ $kind != thread ]] || continue
    cxx=g++
    [[ $compiler == gcc ]] || cxx=clang++
    built "ops.$name" $cxx -std=c++20 -fsized-deallocation -g -fsanitize=$kind "$source_dir/tests/hostile/operators.cc" -lpthread || continue
    ASAN_OPTIONS=$ASAN_OPTIONS:allocator_may_return_null=1 TSAN_OPTIONS=allocator_may_return_null=1 alike "ops.$name" bash -c "exec ./ops.$name 2>/dev/null"
    rm -f ./*.ovc
  done
done
((tested)) || skip "no compiler with sanitizers"

for compiler in gcc clang; do
  built "faulty.$compiler" $compiler -g -fsanitize=address,undefined -fno-sanitize-recover=undefined faulty.c || continue
  reports heap-use-after-free "./faulty.$compiler" free
  reports heap-use-after-free "./faulty.$compiler" fork
  reports 'signed integer overflow' "./faulty.$compiler" overflow
  if ! ASAN_OPTIONS=detect_leaks=1 "./faulty.$compiler" leak 2>leak.err && grep -q 'detected memory leaks' leak.err; then
    ASAN_OPTIONS=detect_leaks=1 reports 'detected memory leaks' "./faulty.$compiler" leak
  fi
done

# The shim only answers where nobody else does, or adds to what another says.
if built faulty.own gcc -g -fsanitize=address faulty.c own_options.c; then
  reports heap-use-after-free ./faulty.own free
  ! grep -q '^SUMMARY' report || fail "the program's own settings are ignored"
fi
if built own_options.so gcc -shared -fPIC -DLIBRARY own_options.c && built faulty.dso gcc -g -fsanitize=address faulty.c ./own_options.so -Wl,--no-as-needed; then
  reports heap-use-after-free ./faulty.dso free
  # Which of its and ASan's own answer counts is the loader's business, with the shim as without.
  same <(grep -c '^SUMMARY' plain.report || true) <(grep -c '^SUMMARY' report || true) "a library's own settings"
fi
# ASan's own library first, as its message asks: the shim behind it.
if runtime=$(library libasan.so.8) && [[ -x calls.gcc.address.undefined ]]; then
  in_front=$runtime
  alike manual ./calls.gcc.address.undefined
  linked manual.1.ovc 6
  not_seen manual.1.ovc "malloc.*libasan.so.8.* comes before the shim"
fi

# ThreadSanitizer names the program's own line where a thread was made: none of the shim's stands in its place.
cat >race.c <<'END'
#include <pthread.h>
static int count;
static void* in_thread(void* arg) { count++; return arg; }
int main(void) {
  pthread_t thread;
  pthread_create(&thread, 0, in_thread, 0);
  count++;
  pthread_join(thread, 0);
}
END
created() { sed -n '/created by main thread/,/^$/p' "$1" | sed -nE 's/.*#1 ([a-z_]+) [^ ]*(race\.c:[0-9]+).*/\1 \2/p'; }
if gcc -g -O1 -fsanitize=thread -o race race.c 2>/dev/null && TSAN_OPTIONS=exitcode=0 ./race 2>race.plain && [[ $(created race.plain) == main* ]]; then
  TSAN_OPTIONS=exitcode=0 under "$work/race.ovc" ./race 2>race.shim
  [[ $(created race.plain) == "$(created race.shim)" ]] || { cat race.shim >&3; fail "who made the thread, under ThreadSanitizer"; }
else
  echo "not tried: ThreadSanitizer's report (no runtime, or none that works here)"
fi
