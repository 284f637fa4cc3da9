// SPDX-License-Identifier: MIT
// Calls that do not come back in the usual way: threads cancelled inside them, and programs that
// end inside a handler.
//   interrupted cancel | interrupted abort|exit|quick_exit|_exit
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t child;
static int status;
static siginfo_t info;
static void in_wait(void) { wait(&status); }
static void in_waitpid(void) { waitpid(child, &status, 0); }
static void in_wait3(void) { wait3(&status, 0, NULL); }
static void in_wait4(void) { wait4(child, &status, 0, NULL); }
static void in_waitid(void) { waitid(P_PID, (id_t)child, &info, WEXITED); }
static void in_system(void) {
  if (system("exec sleep 100") < 0) status = -1;
}
static const struct {
  const char* name;
  void (*call)(void);
} calls[] = {{"wait", in_wait},   {"waitpid", in_waitpid}, {"wait3", in_wait3},
             {"wait4", in_wait4}, {"waitid", in_waitid},   {"system", in_system}};

static int cleaned;
static volatile pid_t inside;
static void clean_up(void* unused) {
  (void)unused;
  cleaned++;
}
static void* body(void* call) {
  pthread_cleanup_push(clean_up, NULL);
  inside = (pid_t)syscall(SYS_gettid);
  (*(void (**)(void))call)();
  pthread_cleanup_pop(0);
  return call;
}
// The thread's state is S once it sleeps in the call.
static int sleeps(pid_t thread) {
  char path[64], text[256] = "";
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
  FILE* file = fopen(path, "r");
  if (!file) return 0;
  const char* got = fgets(text, sizeof text, file);
  fclose(file);
  const char* end = got ? strrchr(text, ')') : NULL;
  return end && end[2] == 'S';
}
static void cancel_in_each(void) {
  child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    pthread_t thread;
    void* result = NULL;
    cleaned = 0;
    inside = 0;
    pthread_create(&thread, NULL, body, (void*)&calls[i].call);
    while (!inside || !sleeps(inside)) usleep(1000);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    free(malloc(100000));
    printf("%s: cancelled %d, cleaned up %d\n", calls[i].name, result == PTHREAD_CANCELED, cleaned);
  }
  kill(child, SIGKILL);
}

static const char* way;
static void at_end(void) {
  munmap(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096);
}
static void end_here(int signal) {
  (void)signal;
  if (strcmp(way, "abort") == 0) abort();
  if (strcmp(way, "exit") == 0) exit(21);
  if (strcmp(way, "quick_exit") == 0) quick_exit(22);
  _exit(23);
}
int main(int argc, char** argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc != 2) return 2;
  way = argv[1];
  if (strcmp(way, "cancel") == 0) {
    cancel_in_each();
    return 0;
  }
  atexit(at_end);
  at_quick_exit(at_end);
  signal(SIGUSR1, end_here);
  free(malloc(1 << 20));
  printf("%s\n", way);
  raise(SIGUSR1);
  return 3;
}
