#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A forked child that waits for ever for a lock which another thread of its parent held at the fork: why, forks, check and follow say
# that it is stuck; and say nothing of children that wait for their parent, or for a lock that is shared.
. "$(dirname "$0")/../fixtures/e2e.sh"
cat >stuck.c <<'C'
// stuck lock|pipe|shared|semaphore: three children that end, then one that waits for a mutex that a thread holds, for its parent, for
// a mutex shared with it, or for a semaphore that a signal handler would post. Ends when its standard input does.
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, *shared;
static sem_t semaphore;
static int held[2], parent[2];
static void* hold(void* nothing) {
  pthread_mutex_lock(&lock);
  if (write(held[1], "", 1) == 1) pause();
  return nothing;
}
int main(int argc, char** argv) {
  char byte;
  pthread_t thread;
  pthread_mutexattr_t attributes;
  if (argc < 2 || pipe(held) || pipe(parent)) return 2;
  shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  sem_init(&semaphore, 0, 0);
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(shared, &attributes);
  pthread_mutex_lock(shared);
  pthread_create(&thread, 0, hold, 0);
  if (read(held[0], &byte, 1) != 1) return 2;
  for (int i = 0; i < 4; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      if (i < 3) _exit(0);
      if (!strcmp(argv[1], "lock")) pthread_mutex_lock(&lock);
      if (!strcmp(argv[1], "shared")) pthread_mutex_lock(shared);
      if (!strcmp(argv[1], "semaphore")) sem_wait(&semaphore);
      while (read(parent[0], &byte, 1) < 0) continue;
      _exit(0);
    }
    if (i < 3) waitpid(child, 0, 0);
    else printf("%d\n", child), fflush(stdout);
  }
  while (read(0, &byte, 1) > 0) continue;
  return 0;
}
C
${CC:-cc} -o stuck stuck.c -lpthread 2>/dev/null || skip "no C compiler"
child=
on_exit() { [[ -z $child ]] || kill -9 "$child" 2>/dev/null || true; }

# waits KIND CALL: starts it, sets child and parent, returns when the child is in that system call
waits() {
  local kind=$1
  mkfifo "$kind.in"
  LD_PRELOAD=$shim OVCSHIM_LOG=$work/$kind.ovc ./stuck "$kind" <"$kind.in" >"$kind.out" &
  parent=$!
  exec 4>"$kind.in"
  until child=$(head -1 "$kind.out") && [[ -n $child ]]; do sleep 0.02; done
  until [[ $(<"/proc/$child/syscall") == "$2 "* ]]; do sleep 0.02; done 2>/dev/null
}
ends() {
  exec 4>&-
  wait "$parent" || true
  kill -9 "$child" 2>/dev/null || true
  child=
}
case $(uname -m) in
  x86_64) futex=202 read=0 ;;
  aarch64) futex=98 read=63 ;;
  *) skip "system call numbers of $(uname -m)" ;;
esac

waits lock $futex
exits 1 ovc why lock.ovc >why.txt
finds "^child $child of stuck \(pid $parent\) is stuck: alive for [0-9.]+ " why.txt
finds "^  cause +it waits for a lock \(0x[0-9a-f]+\) that nobody can give back" why.txt
finds "^  siblings +the 3 other children from there that ended lived [0-9.]+ .?s at most" why.txt
finds "^  to do +kill -9 $child" why.txt
ovc forks lock.ovc >forks.txt || true
finds " stuck: alive for [0-9.]+ .*, waits for a lock that nobody can give back" forks.txt
exits 1 ovc check "$parent" >check.txt
finds "^  stuck +its child $child for [0-9.]+ .*: it waits for a lock \(0x[0-9a-f]+\)" check.txt
exits 1 ovc check "$child" >child.txt
finds "^  stuck +this process for" child.txt
ovc check --openmetrics "$parent" >metrics.txt || true
finds "^ovc_stuck_children\{pid=\"$parent\",comm=\"stuck\"\} 1$" metrics.txt
finds "^ovc_stuck_children_seconds\{pid=\"$parent\",comm=\"stuck\"\} [0-9.]+$" metrics.txt
ovc report lock.ovc -o page.html >/dev/null || true
finds "is stuck: alive for" page.html
{ timeout 60 ovc follow lock.ovc || true; } >follow.txt &
follower=$!
until grep "is stuck after" follow.txt >/dev/null; do sleep 0.05; done
finds "stuck .*is stuck after [0-9.]+ .*: waits for a lock" follow.txt
ends
kill "$follower" 2>/dev/null || true
wait "$follower" || true

for kind in pipe shared semaphore; do
  call=$read
  [[ $kind == pipe ]] || call=$futex
  waits $kind $call
  exits 0 ovc why $kind.ovc >$kind.txt
  ! grep -i stuck $kind.txt | grep -v "^nothing\|forks passed" || fail "$kind: somebody can wake it"
  exits 0 ovc check "$parent" >$kind.check
  ! grep -E "^  stuck" $kind.check || fail "$kind"
  ends
done
