// SPDX-License-Identifier: MIT
//
// The seeds of the harness `elf` are this file, linked by make_elf_seeds.sh: a function inlined
// into another, a table of methods as CPython has them, a function that is known by its message.
#define NOINLINE __attribute__((noinline, used))
#define RELATIVE __attribute__((section(".data"), used))

volatile int sink;

static inline __attribute__((always_inline)) int inlined(int value) { return value * 3 + sink; }

NOINLINE static int os_fork(void) { return inlined(sink) + inlined(2); }

NOINLINE static const char* start_workers(void) {
  sink = inlined(7);
  return "start worker processes";
}

struct Method {
  const char* name;
  int (*function)(void);
  long flags;
  const char* documentation;
};
RELATIVE struct Method methods[] = {{"fork", os_fork, 4, "fork a child"}, {0, 0, 0, 0}};

void _start(void) {
  sink = start_workers()[0] + methods[0].function();
  for (;;) sink = 0;
}
