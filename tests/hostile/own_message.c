// SPDX-License-Identifier: MIT
// own_message [SHIM LOG]: starts itself once for each kind of descriptor 2 and each limit below,
// with LD_PRELOAD=SHIM and OVCSHIM_LOG=LOG if they are given, where LOG cannot be made. Prints a
// line for each: how the program ended (and which signals it had pending and held back when it
// began), whether what stood in or behind the descriptor is still as it was, and on standard error
// how many times the shim's line came through.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "own_message_kinds.h"

static const char *self, *shim, *shim_log;

// Runs in the child: descriptor 3 takes what the program finds.
static void become(const struct scene* s, int report) {
  sigset_t set;
  char preload[4096], log[4096];
  snprintf(preload, sizeof preload, "LD_PRELOAD=%s", shim ? shim : "");
  snprintf(log, sizeof log, "OVCSHIM_LOG=%s", shim_log ? shim_log : "");
  char* const argv[] = {(char*)self, (char*)"--report", NULL};
  char* const plain[] = {NULL};
  char* const shimmed[] = {preload, log, NULL};
  sigemptyset(&set);
  if (s->pending) {
    sigaddset(&set, s->pending);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(s->pending);
  }
  if (s->ignored) signal(s->ignored, SIG_IGN);
  if (s->zero >= 0) dup2(s->zero, 0);
  if (s->two >= 0) dup2(s->two, 2);
  else close(2);
  dup2(report, 3);
  const struct rlimit limit = {s->fsize, s->fsize};
  if (s->fsize != RLIM_INFINITY) setrlimit(RLIMIT_FSIZE, &limit);
  execve(self, argv, shim ? shimmed : plain);
  _exit(4);
}
// A session of its own whose terminal has its leader in the foreground, and the program behind it.
static void in_background(const struct scene* s, int report) {
  int status = 0;
  check(setsid() > 0 && ioctl(s->terminal, TIOCSCTTY, 0) == 0, "TIOCSCTTY");
  const pid_t pid = fork();
  if (pid == 0) {
    setpgid(0, 0);
    become(s, report);
  }
  waitpid(pid, &status, WUNTRACED);
  if (WIFSTOPPED(status)) kill(pid, SIGKILL), _exit(100);
  _exit(WIFSIGNALED(status) ? 101 : WEXITSTATUS(status));
}
static const char* outcome(pid_t pid) {
  static char text[64];
  sigset_t set;
  int status = 0;
  const struct timespec long_time = {30, 0};
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  while (waitpid(pid, &status, WNOHANG | WUNTRACED) == 0)
    if (sigtimedwait(&set, NULL, &long_time) < 0 && errno == EAGAIN) {
      kill(pid, SIGKILL);
      waitpid(pid, &status, 0);
      return "hangs";
    }
  if (WIFSTOPPED(status)) return kill(pid, SIGKILL), waitpid(pid, &status, 0), "is stopped";
  if (WIFSIGNALED(status)) snprintf(text, sizeof text, "is killed by %d", WTERMSIG(status));
  else snprintf(text, sizeof text, "ends with %d", WEXITSTATUS(status));
  return text;
}
// What stands behind `kept` bytes: the shim's lines are counted, anything else is a change.
static int lines(const struct scene* s, int* changed) {
  static char text[1 << 20];
  size_t n = 0;
  int count = 0;
  *changed = 0;
  if (s->other < 0 || s->kept < 0) return 0;
  fcntl(s->other, F_SETFL, fcntl(s->other, F_GETFL) | O_NONBLOCK);
  lseek(s->other, 0, SEEK_SET);
  for (ssize_t got;
       n < sizeof text - 1 && (got = read(s->other, text + n, sizeof text - 1 - n)) > 0;)
    n += (size_t)got;
  text[n] = '\0';
  if (n < (size_t)s->kept) return *changed = 1, 0;
  for (char *at = text + s->kept, *end; at < text + n; at = end + 1) {
    end = strchr(at, '\n');
    if (!end) return *changed = 1, count;
    const char last[] = "; this program runs unrecorded";
    const size_t length = sizeof last - 1;
    if (strncmp(at, "ovcshim: ", 9) == 0 && (size_t)(end - at) > length &&
        strncmp(end - length, last, length) == 0)
      ++count;
    else *changed = 1;
  }
  return count;
}

static int report(void) {
  sigset_t held, pending;
  char text[128];
  sigprocmask(SIG_SETMASK, NULL, &held);
  sigpending(&pending);
  int n = 0;
  for (int i = 1; i < 32; ++i)
    if (sigismember(&held, i) || sigismember(&pending, i))
      n += snprintf(text + n, sizeof text - (size_t)n, ", signal %d%s%s", i,
                    sigismember(&held, i) ? " held back" : "",
                    sigismember(&pending, i) ? " pending" : "");
  return write(3, text, (size_t)n) == n ? 7 : 5;
}

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "--report") == 0) return report();
  self = "/proc/self/exe";
  if (argc > 2) shim = argv[1], shim_log = argv[2];
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &set, NULL);
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i) {
    struct scene s = {-1, -1, 0, RLIM_INFINITY, -1, 0, -1, 0};
    int found[2], changed = 0;
    char state[128] = "";
    kinds[i].set(&s);
    check(pipe(found) == 0, "pipe");
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
      sigprocmask(SIG_UNBLOCK, &set, NULL);
      if (s.terminal >= 0) in_background(&s, found[1]);
      become(&s, found[1]);
    }
    close(found[1]);
    const char* end = outcome(pid);
    const ssize_t n = read(found[0], state, sizeof state - 1);
    const int said = lines(&s, &changed);
    printf("%s: %s%.*s%s\n", kinds[i].name, end, n > 0 ? (int)n : 0, state,
           changed ? ", CHANGED" : "");
    fprintf(stderr, "%s %d\n", kinds[i].name, said);
    close(found[0]);
    if (s.two >= 0) close(s.two);
    if (s.other >= 0) close(s.other);
  }
  return 0;
}
