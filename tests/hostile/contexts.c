// SPDX-License-Identifier: MIT
// Allocates, maps, makes threads and forks from the odd places of a program's life: before main, after it, in signal handlers, on tiny
// stacks, in vfork children, while others hold locks, during dlopen. `contexts CASE LIBRARY`; prints a line for each thing that went as
// it should. LIBRARY is any shared object with thread-local storage: the script makes copies of it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { kPage = 4096 };
static char early[16];  // what the code before main did
static volatile int earlies;

static int maps(size_t bytes) {
  void* at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return 0;
  memset(at, 1, bytes < kPage ? bytes : kPage);
  return munmap(at, bytes) == 0;
}
static int allocates(void) {
  static const size_t sizes[] = {1, 100, 5000, 200000};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
    char* block = malloc(sizes[i]);
    if (!block) return 0;
    memset(block, 1, sizes[i]);
    block = realloc(block, 2 * sizes[i]);
    if (!block || block[sizes[i] - 1] != 1) return 0;
    free(block);
  }
  void* aligned = NULL;
  if (posix_memalign(&aligned, 64, 100) != 0) return 0;
  free(aligned);
  return 1;
}
static int forks(void) {
  int status = 0;
  const pid_t pid = fork();
  if (pid == 0) _exit(allocates() ? 7 : 1);
  return pid > 0 && waitpid(pid, &status, 0) == pid && status == 7 << 8;
}
static void* thread_main(void* arg) { return allocates() ? arg : NULL; }
static int threads(void) {
  pthread_t thread;
  void* got = NULL;
  return pthread_create(&thread, NULL, thread_main, early) == 0 && pthread_join(thread, &got) == 0 && got == early;
}
static int all(void) { return allocates() && maps(100000) && threads() && forks(); }
static void say(const char* what, int good) {
  char line[128];
  const int n = snprintf(line, sizeof line, "%s: %s\n", what, good ? "ok" : "WRONG");
  if (write(1, line, (size_t)n) != n) _exit(99);
}

// ---- before and after main

static void first(void) { early[earlies++] = all() ? 'p' : 'x'; }
__attribute__((section(".preinit_array"), used)) static void (*const preinit)(void) = first;
__attribute__((constructor(101))) static void constructed(void) { early[earlies++] = all() && errno == 0 ? 'c' : 'x'; }
static int answer_now(void) { return 42; }
// Runs while the loader still relocates: nothing of libc is certain there, not even without the shim. Only that it comes back counts.
static int (*resolve_answer(void))(void) { return answer_now; }
int answer(void) __attribute__((ifunc("resolve_answer")));
static void at_exit(void) { say("atexit", all()); }
static void on_exit_handler(int status, void* arg) { say("on_exit", status == 0 && arg == NULL && all()); }
static int armed;
__attribute__((destructor)) static void destroyed(void) {
  if (armed) say("destructor", all());
}
static void outside_main(const char* library) {
  (void)library;
  say("before main", strcmp(early, "pc") == 0);
  say("ifunc", answer() == 42);
  armed = 1;
  atexit(at_exit);
  on_exit(on_exit_handler, NULL);
}

// ---- signal handlers

static volatile sig_atomic_t handled, handler_failed;
static void on_signal(int number) {
  (void)number;
  const int err = errno;
  if (!maps(50000) || !forks()) handler_failed = 1;
  ++handled;
  errno = err;
}
static void set_handler(int number, int flags, void (*handler)(int)) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
  sigaction(number, &action, NULL);
}
static char alternate[16384];
static void crash_handler(int number) {
  (void)number;
  say("crash handler", maps(50000) && forks());
  _exit(0);
}
static void signals(const char* library) {
  (void)library;
  set_handler(SIGUSR1, 0, on_signal);
  raise(SIGUSR1);
  say("handler", handled == 1 && !handler_failed);
  const stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
  sigaltstack(&stack, NULL);
  set_handler(SIGUSR2, SA_ONSTACK, on_signal);
  raise(SIGUSR2);
  say("handler on its own stack", handled == 2 && !handler_failed);
  fflush(stdout);
  set_handler(SIGSEGV, SA_ONSTACK, crash_handler);
  *(volatile int*)(uintptr_t)8 = 1;
}

static void on_timer(int number) {
  (void)number;
  const int err = errno;
  if (!maps(handled % 2 ? 4096 : 300000)) handler_failed = 1;
  if (handled % 16 == 0) {  // _Fork may be called in a handler, fork may not: malloc's locks
    extern pid_t _Fork(void);
    const pid_t pid = _Fork();
    if (pid == 0) _exit(0);
    if (pid < 0 || waitpid(pid, NULL, 0) != pid) handler_failed = 1;
  }
  ++handled;
  errno = err;
}
// The recorder is interrupted in its slow paths, too: a timer fires all the time while calls are made.
static void storm(const char* library) {
  (void)library;
  const struct itimerval often = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};
  set_handler(SIGALRM, SA_RESTART, on_timer);
  setitimer(ITIMER_REAL, &often, NULL);
  int good = 1;
  for (int i = 0; good && (handled < 1000 || i < 200); ++i) good = allocates() && maps(8192) && (i % 64 || forks());
  setitimer(ITIMER_REAL, &never, NULL);
  say("storm of signals", good && !handler_failed);
}

// ---- threads

static volatile int stop;
static void* hammer(void* arg) {
  while (!stop)
    if (!allocates() || !maps(20000)) return NULL;
  return arg;
}
static void threaded_forks(const char* library) {
  (void)library;
  pthread_t workers[4];
  for (int i = 0; i < 4; ++i) pthread_create(&workers[i], NULL, hammer, early);
  int good = 1;
  for (int i = 0; i < 100; ++i) good &= forks();
  stop = 1;
  void* got = NULL;
  for (int i = 0; i < 4; ++i) good &= pthread_join(workers[i], &got) == 0 && got == early;
  say("forks while other threads allocate", good);
}

static pthread_key_t key;
static int ended;
static void at_thread_end(void* value) {
  static int rounds;
  if (allocates() && maps(8192)) __atomic_add_fetch(&ended, 1, __ATOMIC_RELAXED);
  if (__atomic_add_fetch(&rounds, 1, __ATOMIC_RELAXED) % 2) pthread_setspecific(key, value);  // once more, later than others
}
static void* with_specific(void* arg) {
  pthread_setspecific(key, arg);
  return arg;
}
static void thread_ends(const char* library) {
  (void)library;
  pthread_key_create(&key, at_thread_end);
  for (int i = 0; i < 50; ++i) {
    pthread_t thread;
    pthread_create(&thread, NULL, with_specific, early);
    pthread_join(thread, NULL);
  }
  say("destructors of thread-specific data", ended >= 50);
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, (size_t)sysconf(_SC_THREAD_STACK_MIN));
  pthread_t thread;
  void* got = NULL;
  const int code = pthread_create(&thread, &small, thread_main, early);
  say("smallest thread stack", code == 0 && pthread_join(thread, &got) == 0 && got == early);
}

// ---- vfork children

static void vforks(const char* library) {
  (void)library;
  extern char** environ;
  int status = 0, good = 1;
  char* const argv[] = {"true", NULL};
  for (int i = 0; i < 50; ++i) {
    const pid_t pid = vfork();
    if (pid == 0) {
      if (i % 3 == 0) execve("/bin/true", argv, environ);
      if (i % 3 == 1) execvp("no-such-program", argv);
      if (i % 3 == 2 && !maps(8192)) _exit(1);
      _exit(0);
    }
    good &= pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
  }
  say("vfork children", good && all());
}

// ---- coroutines

static ucontext_t home, coroutine;
static volatile int coroutine_good;
static void in_coroutine(void) {
  void* small = malloc(100);
  void* at = mmap(NULL, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  coroutine_good = small != NULL && at != MAP_FAILED && munmap(at, kPage) == 0;
  free(small);
}
static int runs_coroutine(size_t stack_bytes) {
  char* area = mmap(NULL, 16 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);  // a guard beneath
  char* stack = area + 8 * kPage;
  if (area == MAP_FAILED || mprotect(stack, stack_bytes, PROT_READ | PROT_WRITE) != 0) return 0;
  coroutine_good = 0;
  getcontext(&coroutine);
  coroutine.uc_stack.ss_sp = stack;
  coroutine.uc_stack.ss_size = stack_bytes;
  coroutine.uc_link = &home;
  makecontext(&coroutine, in_coroutine, 0);
  swapcontext(&home, &coroutine);
  return coroutine_good && munmap(area, 16 * kPage) == 0;
}
static void coroutines(const char* library) {
  (void)library;
  free(malloc(1));
  int good = 1;
  for (int i = 0; i < 20; ++i) good &= runs_coroutine(kPage);
  say("coroutines on 4 kB", good);
}

// ---- the loader

static void* loads(void* arg) {
  for (int i = 0; i < 200; ++i) {
    void* handle = dlopen(arg, RTLD_NOW);
    if (!handle || dlclose(handle) != 0) return NULL;
  }
  return arg;
}
static void loader(const char* library) {
  pthread_t loading, hammering;
  void* got = NULL;
  pthread_create(&hammering, NULL, hammer, early);
  pthread_create(&loading, NULL, loads, (void*)(uintptr_t)library);
  int good = 1;
  for (int i = 0; i < 30; ++i) good &= forks();
  good &= pthread_join(loading, &got) == 0 && got == library;
  stop = 1;
  good &= pthread_join(hammering, &got) == 0 && got == early;
  say("dlopen and dlclose beside allocations and forks", good);
  void* (*real)(size_t) = NULL;
  *(void**)&real = dlsym(RTLD_NEXT, "malloc");
  void* block = real ? real(100) : NULL;
  say("dlsym of malloc", block != NULL);
  free(block);
  say("dlsym of nothing", dlsym(RTLD_DEFAULT, "no_such_symbol") == NULL && dlerror() != NULL);
}

// Objects with initial-exec TLS, until the loader has no more static TLS: LIBRARY-0, LIBRARY-1, ...
static void static_tls(const char* library) {
  char path[4096];
  int count = 0;
  for (; count < 64; ++count) {
    snprintf(path, sizeof path, "%s-%d", library, count);
    if (!dlopen(path, RTLD_NOW)) break;
  }
  char text[64];
  snprintf(text, sizeof text, "objects with static TLS: %d", count);
  say(text, all());
}

int main(int argc, char** argv) {
  static const struct {
    const char* name;
    void (*run)(const char*);
  } cases[] = {{"outside-main", outside_main}, {"signals", signals}, {"storm", storm},   {"threaded-forks", threaded_forks},
               {"thread-ends", thread_ends},   {"vforks", vforks},   {"loader", loader}, {"coroutines", coroutines},
               {"static-tls", static_tls}};
  for (size_t i = 0; argc == 3 && i < sizeof cases / sizeof *cases; ++i)
    if (strcmp(argv[1], cases[i].name) == 0) cases[i].run(argv[2]);
  return 0;
}
