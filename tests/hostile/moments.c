// SPDX-License-Identifier: MIT
// Allocates, maps, forks and makes threads where libraries seldom expect it: before and after main,
// in signal handlers, on stacks of a few kB, between vfork and exec, while libraries come and go.
// moments PLUGIN.so | moments tls FOLDER COUNT One line for each case on stdout; the counts of the
// storm, which differ from run to run, on stderr.
// Each context maps a size of its own, in pages, by which its records are found again.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { kPage = 4096, kMark = 4242 };
enum Pages {  // of each context
  kResolver = 1001,
  kPreinit,
  kConstructor,
  kHandler,
  kSmallHandler,
  kCrash,
  kStorm,
  kVfork,
  kThreadEnd,
  kKeyEnd,
  kCoroutine,
  kSmallThread,
  kAtexit,
  kOnExit,
  kDestructor,
  kForkedAmongThreads
};
enum What { kMap = 1, kBlock = 2, kFork = 4, kThread = 8, kAll = 15 };
static int resolver_good, preinit_good, constructor_good;  // before main nothing is said
extern int __cxa_thread_atexit_impl(void (*)(void*), void*, void*);
extern void* __dso_handle;

static void say(const char* name, int good) {
  char line[96];
  const int n = snprintf(line, sizeof line, "%s %s\n", name, good ? "ok" : "WRONG");
  if (write(1, line, (size_t)n) != n) _exit(99);
}
static int map(size_t pages) {
  errno = kMark;
  char* memory =
      mmap(NULL, pages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 0;
  memory[0] = memory[pages * kPage - 1] = 1;
  return munmap(memory, pages * kPage) == 0 && errno == kMark;
}
static int blocks(void) {
  errno = kMark;
  char* first = malloc(100);
  char* second = calloc(3, 4000);
  void* third = NULL;
  int good =
      first && second && posix_memalign(&third, 256, 3000) == 0 && (uintptr_t)third % 256 == 0;
  if (good) memset(first, 1, 100), memset(third, 1, 3000);
  first = realloc(first, 100000);
  good = good && first && first[99] == 1;
  free(third), free(second), free(first);
  return good && errno == kMark;
}
extern pid_t _Fork(void);
static int forked_by(pid_t (*call)(void)) {
  int status = 0;
  const pid_t child = call();
  if (child == 0) _exit(7);
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
         WEXITSTATUS(status) == 7;
}
static int forked(void) { return forked_by(fork); }
static void* thread_body(void* arg) { return blocks() ? arg : NULL; }
static int threaded(void) {
  pthread_t thread;
  void* result = NULL;
  return pthread_create(&thread, NULL, thread_body, &resolver_good) == 0 &&
         pthread_join(thread, &result) == 0 && result == &resolver_good;
}
static int act(unsigned what, size_t pages) {
  int good = 1;
  if (what & kMap) good &= map(pages);
  if (what & kBlock) good &= blocks();
  if (what & kFork) good &= forked();
  if (what & kThread) good &= threaded();
  return good;
}

// Before main. Nothing can be printed in the resolver: it runs while the program is still being
// relocated.
static int resolved(void) { return 5; }
static int (*resolve(void))(void) {
  void* memory = mmap(NULL, kResolver * kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  void* block = malloc(1000);
  resolver_good = memory != MAP_FAILED && block != NULL && munmap(memory, kResolver * kPage) == 0;
  free(block);
  return resolved;
}
static int indirect(void) __attribute__((ifunc("resolve")));
static void preinit(void) { preinit_good = act(kAll, kPreinit); }
__attribute__((section(".preinit_array"), used)) static void (*const preinit_entry)(void) = preinit;
__attribute__((constructor(101))) static void constructor(void) {
  constructor_good = act(kAll, kConstructor);
}
static void before_main(void) {
  say("ifunc resolver", resolver_good && indirect() == 5);
  say("preinit_array", preinit_good);
  say("constructor", constructor_good);
}

// After main.
static pid_t first_process;  // children that end by exit() say nothing
static void in_atexit(void) {
  if (getpid() == first_process) say("atexit", act(kAll, kAtexit));
}
static void in_on_exit(int status, void* arg) {
  (void)arg;
  if (getpid() == first_process) say("on_exit", status == 0 && act(kAll, kOnExit));
}
__attribute__((destructor(101))) static void in_destructor(void) {
  if (getpid() == first_process) say("destructor", act(kAll, kDestructor));
}

// Signals.
static volatile int handler_good;
static volatile size_t handler_pages;
static void handler(int number) {
  (void)number;
  const int saved = errno;
  handler_good = act(kAll, handler_pages);
  errno = saved;
}
static int raised(size_t pages, int flags) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
  sigaction(SIGUSR1, &action, NULL);
  handler_good = 0;
  handler_pages = pages;
  raise(SIGUSR1);
  return handler_good;
}
// Memory of that size that ends in a page nobody may touch, at its lower end.
static char* guarded(size_t bytes) {
  char* memory =
      mmap(NULL, bytes + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, kPage, PROT_NONE) != 0) exit(3);
  return memory + kPage;
}
// What the kernel writes there first differs between processors (AT_MINSIGSTKSZ): 8 kB are what is
// left to the handler.
static int raised_on_small_stack(void) {
  const size_t bytes = (getauxval(AT_MINSIGSTKSZ) + 2 * kPage - 1) / kPage * kPage + kPage;
  stack_t stack = {.ss_sp = guarded(bytes), .ss_size = bytes}, off = {.ss_flags = SS_DISABLE};
  sigaltstack(&stack, NULL);
  const int good = raised(kSmallHandler, SA_ONSTACK);
  sigaltstack(&off, NULL);
  return good;
}
static void crash_handler(int number) {
  (void)number;
  _exit(act(kMap | kFork, kCrash) ? 5 : 6);
}
static int crash(void) {
  int status = 0;
  const pid_t child = fork();
  if (child == 0) {
    stack_t stack = {.ss_sp = guarded(32768), .ss_size = 32768};
    struct sigaction action = {.sa_handler = crash_handler, .sa_flags = SA_ONSTACK};
    sigaltstack(&stack, NULL);
    sigaction(SIGSEGV, &action, NULL);
    *(volatile char*)(stack.ss_sp - 1) = 1;
    _exit(8);
  }
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 5;
}

// A timer that goes off 50 to 250 us after its handler's end, so that main goes on between: every
// place of the recorder is interrupted.
static volatile unsigned storm_signals, storm_forks, storm_bad;
static volatile int storm_on;
static void arm(void) {
  struct itimerval next = {.it_value = {.tv_usec = 50 + (storm_signals * 37) % 200}};
  setitimer(ITIMER_REAL, &next, NULL);
}
static void storm_handler(int number) {
  (void)number;
  const int saved = errno;
  storm_signals++;
  storm_bad += !map(kStorm);
  if (storm_signals % 8 == 0) {
    storm_forks++;
    storm_bad += !forked_by(_Fork);  // fork() itself would wait for the allocator's locks
  }
  if (storm_on) arm();
  errno = saved;
}
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
static int storm(void) {
  unsigned rounds = 0, bad = 0, forks = 0;
  struct sigaction action = {.sa_handler = storm_handler, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  storm_on = 1;
  arm();
  for (const double end = now() + 1.0; now() < end; rounds++) {
    bad += !blocks() || (rounds % 4 == 0 && !map(3));
    if (rounds % 64 == 0) forks++, bad += !forked();
  }
  storm_on = 0;
  signal(SIGALRM, SIG_IGN);
  fprintf(stderr, "storm: %u rounds, %u signals, %u forks\n", rounds, storm_signals,
          forks + storm_forks);
  return rounds > 100 && storm_signals > 100 && bad == 0 && storm_bad == 0;
}

// Threads.
static volatile int hammering;
static void* hammer(void* arg) {
  unsigned bad = 0;
  for (unsigned i = 0; hammering; i++) bad += !blocks() || (i % 64 == 0 && !map(5));
  return bad ? NULL : arg;
}
enum { kHammers = 4 };
static void start_hammers(pthread_t* threads) {
  hammering = 1;
  for (int i = 0; i < kHammers; i++)
    if (pthread_create(&threads[i], NULL, hammer, threads) != 0) exit(4);
}
static int end_hammers(const pthread_t* threads) {
  int good = 1;
  hammering = 0;
  for (int i = 0; i < kHammers; i++) {
    void* result = NULL;
    good &= pthread_join(threads[i], &result) == 0 && result == threads;
  }
  return good;
}
static int fork_among_threads(void) {
  pthread_t threads[kHammers];
  int good = 1;
  start_hammers(threads);
  for (int i = 0; i < 50; i++) {
    int status = 0;
    const pid_t child = fork();
    if (child == 0) _exit(act(kAll, kForkedAmongThreads) ? 7 : 8);
    good &= child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
            WEXITSTATUS(status) == 7;
  }
  return end_hammers(threads) && good;
}
static int libraries_among_threads(const char* plugin) {
  pthread_t threads[kHammers];
  int good = 1;
  start_hammers(threads);
  for (int i = 0; i < 150; i++) {
    void* library = dlopen(plugin, i % 2 ? RTLD_NOW : RTLD_LAZY);
    int (*plug)(void) = library ? (int (*)(void))dlsym(library, "plug") : NULL;
    good &= plug != NULL && plug() == 1 && dlclose(library) == 0;
  }
  return end_hammers(threads) && good;
}
static volatile int key_good, thread_end_good;
static pthread_key_t key;
static void key_end(void* rounds) {  // comes again as often as it sets the key: after everything
                                     // else of the thread is gone
  key_good += act(kMap | kBlock, kKeyEnd);
  if ((intptr_t)rounds > 1) pthread_setspecific(key, (void*)((intptr_t)rounds - 1));
}
static void thread_local_end(void* arg) {
  (void)arg;
  thread_end_good = act(kAll, kThreadEnd);
}
static void* ending(void* arg) {
  pthread_setspecific(key, (void*)(intptr_t)4);
  __cxa_thread_atexit_impl(thread_local_end, NULL, &__dso_handle);
  return arg;
}
static int thread_ends(void) {
  pthread_t thread;
  return pthread_key_create(&key, key_end) == 0 &&
         pthread_create(&thread, NULL, ending, NULL) == 0 && pthread_join(thread, NULL) == 0 &&
         key_good == 4 && thread_end_good;
}
static void* in_small_thread(void* arg) { return act(kAll, kSmallThread) ? arg : NULL; }
static int small_thread(void) {
  pthread_t thread;
  pthread_attr_t attributes;
  void* result = NULL;
  pthread_attr_init(&attributes);
  return pthread_attr_setstacksize(&attributes, (size_t)sysconf(_SC_THREAD_STACK_MIN)) == 0 &&
         pthread_create(&thread, &attributes, in_small_thread, &key) == 0 &&
         pthread_join(thread, &result) == 0 && result == &key;
}

// vfork: the child is on our memory and our stack until it is gone.
static int vforked(int way) {
  static char* const argv[] = {"sh", "-c", "exit 7", NULL};
  static volatile int good;
  int status = 0;
  good = 1;
  const pid_t child = vfork();
  if (child == 0) {
    if (way == 1) good = map(kVfork);
    if (way == 2) good = blocks();
    if (way == 3) execve("/nowhere", argv, NULL);
    if (way >= 3) execve("/bin/sh", argv, NULL);
    _exit(7);
  }
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
         WEXITSTATUS(status) == 7 && good && blocks();
}

// Coroutines.
static ucontext_t scheduler, coroutine;
static int coroutine_good;
static unsigned coroutine_acts;
static void in_coroutine(void) {
  for (int i = 0; i < 10; i++) {
    coroutine_good += act(coroutine_acts, kCoroutine);
    swapcontext(&coroutine, &scheduler);
  }
}
static int coroutines(size_t stack_bytes, unsigned acts) {
  coroutine_good = 0;
  coroutine_acts = acts;
  getcontext(&coroutine);
  coroutine.uc_stack.ss_sp = guarded(stack_bytes);
  coroutine.uc_stack.ss_size = stack_bytes;
  makecontext(&coroutine, in_coroutine, 0);
  for (int i = 0; i < 10; i++) swapcontext(&scheduler, &coroutine);
  return coroutine_good == 10;
}

// Libraries that want their thread-local variables next to the thread's own: there is room for some
// only.
static int static_tls(const char* folder, int count) {
  int loaded = 0;
  for (int i = 0; i < count; i++) {
    char path[512];
    snprintf(path, sizeof path, "%s/tls%d.so", folder, i);
    loaded += dlopen(path, RTLD_NOW) != NULL;
  }
  printf("%d\n", loaded);
  return 0;
}

int main(int argc, char** argv) {
  if (argc == 4) return static_tls(argv[2], atoi(argv[3]));
  if (argc != 2) return 2;
  first_process = getpid();
  atexit(in_atexit);
  on_exit(in_on_exit, NULL);
  before_main();
  say("signal handler", raised(kHandler, 0));
  say("signal handler on 8 kB", raised_on_small_stack());
  say("crash handler", crash());
  static const char* const ways[] = {"_exit", "mmap", "malloc", "failing exec", "exec"};
  for (int i = 0; i < 5; i++) {
    char name[48];
    snprintf(name, sizeof name, "vfork and %s", ways[i]);
    say(name, vforked(i));
  }
  say("coroutine on 4 kB", coroutines(kPage, kMap | kBlock));
  say("coroutine on 16 kB", coroutines(4 * kPage, kAll));
  say("storm of signals", storm());
  say("ends of threads", thread_ends());
  say("thread on the smallest stack", small_thread());
  say("fork among threads", fork_among_threads());
  say("dlopen among threads", libraries_among_threads(argv[1]));
  return 0;
}
