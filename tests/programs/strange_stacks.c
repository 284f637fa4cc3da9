// SPDX-License-Identifier: MIT
//
// Stacks of every kind, all the time, until killed: signal handlers (on a stack of their own, too,
// and one within another), callbacks from libc, deep recursion, frames of variable size and of
// large alignment, calls bound at their first use, longjmp, functions written by hand. An argument:
// a signal every so many microseconds.
#define _GNU_SOURCE
#include <alloca.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include "tests/programs/strange_assembly.h"

static volatile unsigned long sink;
static unsigned char from[1 << 16], to[1 << 16];

static unsigned long recursion(unsigned depth, unsigned long value) {
  if (depth == 0) return value;
  return recursion(depth - 1, value * 2654435761u + depth) ^ depth;
}

static void by_hand(void) {
  for (size_t n = 1; n < sizeof from; n = n * 3 + 1) {
    memcpy(to, from + 3, n - 1);
    memmove(to + 5, to, n / 2);
    memset(from, (int)n, n);
    sink += (unsigned long)memcmp(to, from, n) + strlen("hand") +
            (unsigned long)(memchr(from, 1, n) != NULL);
  }
}

static void variable(size_t size) {
  char* room = alloca(size);
  memset(room, (int)size, size);
  _Alignas(64) char aligned[64];
  memcpy(aligned, room, sizeof aligned);
  sink += (unsigned long)aligned[1];
}

static int compare(const void* a, const void* b) {
  sink += recursion(3, 1);
  return *(const int*)a - *(const int*)b;
}

static void callbacks(void) {
  int values[64];
  for (int i = 0; i < 64; ++i) values[i] = (i * 37) % 64;
  qsort(values, 64, sizeof values[0], compare);
}

static jmp_buf back;
static volatile int jumps = 1;
static void leaves(unsigned depth) {
  if (depth == 0) {
    if (jumps) longjmp(back, 1);
    return;
  }
  leaves(depth - 1);
  sink += depth;
}

static void texts(void) {
  char text[256];
  snprintf(text, sizeof text, "%s %d %.3f %p", "a text", 17, 3.25, (void*)text);
  sink += strtoul("12345", NULL, 10) + strlen(text);
  free(strdup(text));
}

static void work(void) {
  by_hand();
  variable(100 + sink % 3000);
  callbacks();
  sink += recursion(40, sink);
  if (setjmp(back) == 0) leaves(10);
  sink += (unsigned long)through_assembly(texts);
}

static void on_alarm(int number) {
  for (int i = 0; i < 20; ++i)
    variable(200 + (size_t)i), sink += recursion(20, (unsigned long)number);
  if (number == SIGALRM) raise(SIGUSR1);  // one handler within another
}

// A stack that begins with makecontext's trampoline, which musl has not.
#if defined(__GLIBC__)
static ucontext_t own, other;
static char stack[64 * 1024];
static void in_context(void) {
  for (int i = 0; i < 3; ++i) work();
}
static void through_context(void) {
  getcontext(&other);
  other.uc_stack.ss_sp = stack, other.uc_stack.ss_size = sizeof stack;
  other.uc_link = &own;
  makecontext(&other, in_context, 0);
  swapcontext(&own, &other);
}
#else
static void through_context(void) {}
#endif

int main(int argc, char** argv) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  static char signal_stack[64 * 1024];
  const stack_t apart = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
  sigaltstack(&apart, NULL);
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART | SA_ONSTACK};
  sigaction(SIGALRM, &action, NULL);
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, NULL);
  const long us = argc > 1 ? atol(argv[1]) : 300;
  const struct itimerval often = {{0, us}, {0, us}};
  setitimer(ITIMER_REAL, &often, NULL);
  if (write(1, "ready\n", 6) != 6) return 1;
  for (;;) {
    work();
    through_context();
  }
}
