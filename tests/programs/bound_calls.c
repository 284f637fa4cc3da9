// SPDX-License-Identifier: MIT
//
// A known number of calls of malloc's family, on command: in the program, in modules it has loaded,
// by libc for it, and by pointers in its data. Says so without stdio, which would ask for memory.
//   bound_calls MODULE...    each built of this file with -DMODULE; commands are letters on stdin:
//     w  a round of work: in the program and in each module
//     o  gives back and grows blocks that were handed out before the first command
//     k  a round in a forked child
//     l  loads later.so from the working directory, and a round there
//     p  by an address of malloc that was taken at the start
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kBlocks = 1000, kTexts = 100, kModules = 16 };

static void* volatile kept[kBlocks];

// 1,000 malloc, 100 calloc, 100 realloc, 1 of each aligned one, 1,104 free.
static void round_of_calls(void) {
  void* to = NULL;
  for (int i = 0; i < kBlocks; ++i) kept[i] = malloc((size_t)(16 + i));
  for (int i = 0; i < kTexts; ++i) {
    kept[i] = realloc(kept[i], 3000);
    void* volatile zeroed = calloc(10, (size_t)(i + 1));
    free(zeroed);
  }
  for (int i = 0; i < kBlocks; ++i) free(kept[i]);
  if (posix_memalign(&to, 64, 100) == 0) free(to);
  void* volatile aligned = memalign(64, 100);
  free(aligned);
  aligned = aligned_alloc(64, 128);
  free(aligned);
  aligned = valloc(100);
  free(aligned);
}

#ifdef MODULE
void module_round(void);
void module_round(void) { round_of_calls(); }
#else

// As many libraries have it: 1 malloc, 1 free each.
static struct {
  void* (*get)(size_t);
  void (*give)(void*);
} hooks = {malloc, free};

static void (*rounds[kModules])(void);
static int modules;
static void* (*taken)(size_t);

static void say(const char* word) {
  if (write(1, word, strlen(word)) < 0) _exit(1);
}

static void load(const char* path, int mode) {
  void* const module = dlopen(path, mode);
  if (!module) say(dlerror()), _exit(1);
  rounds[modules++] = (void (*)(void))dlsym(module, "module_round");
}

static void work(void) {
  round_of_calls();
  for (int i = 0; i < modules; ++i) rounds[i]();
  for (int i = 0; i < kTexts; ++i) {
    void* volatile text = strdup("by libc");  // 1 malloc
    free(text);
    hooks.give(hooks.get(20));
  }
}

int main(int argc, char** argv) {
  void* old[kBlocks];
  for (int i = 1; i < argc; ++i) load(argv[i], i % 2 ? RTLD_LAZY : RTLD_NOW);
  for (int i = 0; i < kBlocks; ++i) old[i] = malloc(200);
  taken = hooks.get;
  say("ready\n");
  for (char command; read(0, &command, 1) == 1;) {
    if (command == 'w') work();
    if (command == 'p') free(taken(100));
    if (command == 'o')
      for (int i = 0; i < kBlocks; ++i) {
        void* const grown = realloc(old[i], 300);
        free(grown);
        old[i] = NULL;
      }
    if (command == 'l') load("./later.so", RTLD_NOW), rounds[--modules]();
    if (command == 'k') {
      const pid_t child = fork();
      if (child == 0) work(), _exit(0);
      int status = 1;
      if (waitpid(child, &status, 0) != child || status != 0) _exit(1);
    }
    if (command != '\n') say("done\n");
  }
  return 0;
}
#endif
