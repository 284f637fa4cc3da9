// SPDX-License-Identifier: MIT
// own_message [SHIM LOG]: starts itself once for each kind of descriptor 2 and each limit below,
// with LD_PRELOAD=SHIM and OVCSHIM_LOG=LOG if they are given, where LOG cannot be made. Prints a
// line for each: how the program ended (and which signals it had pending and held back when it
// began), whether what stood in or behind the descriptor is still as it was, and on standard error
// how many times the shim's line came through.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static const char *self, *shim, *shim_log;

struct scene {
  int two;       // becomes descriptor 2; -1: closed
  int other;     // what comes through is read here; -1: nothing can
  off_t kept;    // bytes that were there before
  rlim_t fsize;  // RLIMIT_FSIZE
  int zero;      // becomes descriptor 0, if not -1
  int pending;   // a SIGPIPE is held back and pending before
  int terminal;  // slave that becomes the controlling terminal; the program runs in its background
};

static void check(int ok, const char* what) {
  if (ok) return;
  perror(what);
  exit(3);
}
static void fill(int fd) {
  char block[4096];
  memset(block, 'x', sizeof block);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  for (size_t n = sizeof block; n; n = n > 1 ? n / 2 : 0)
    while (write(fd, block, n) > 0) {}
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
}
static void pipes(struct scene* s) {
  int ends[2];
  check(pipe2(ends, O_CLOEXEC) == 0, "pipe");
  s->two = ends[1], s->other = ends[0];
}
static void sockets(struct scene* s, int type) {
  int ends[2];
  check(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) == 0, "socketpair");
  s->two = ends[1], s->other = ends[0];
}
static void file(struct scene* s, int flags, off_t bytes) {
  char name[] = "own_message.XXXXXX";
  s->other = mkstemp(name);
  check(s->other >= 0 && ftruncate(s->other, bytes) == 0, name);
  s->two = open(name, flags | O_CLOEXEC);
  check(s->two >= 0, name);
  unlink(name);
  s->kept = bytes;
}
static void terminal(struct scene* s, tcflag_t local) {
  s->other = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (s->other < 0) return;
  check(grantpt(s->other) == 0 && unlockpt(s->other) == 0, "unlockpt");
  s->two = open(ptsname(s->other), O_RDWR | O_NOCTTY | O_CLOEXEC);
  check(s->two >= 0, "ptsname");
  struct termios settings;
  tcgetattr(s->two, &settings);
  settings.c_lflag |= local;
  settings.c_oflag &= ~(tcflag_t)OPOST;
  tcsetattr(s->two, TCSANOW, &settings);
}
static void device(struct scene* s, const char* path) {
  s->two = open(path, O_WRONLY | O_CLOEXEC);
  check(s->two >= 0, path);
}

static void a_pipe(struct scene* s) { pipes(s); }
static void a_pipe_without_reader(struct scene* s) {
  pipes(s);
  close(s->other);
  s->other = -1;
}
static void a_pipe_without_reader_but_sigpipe_pending(struct scene* s) {
  a_pipe_without_reader(s);
  s->pending = 1;
}
static void a_full_pipe(struct scene* s) {
  pipes(s);
  fill(s->two);
  s->kept = -1;
}
static void reading_end_of_a_pipe(struct scene* s) {
  int ends[2];
  check(pipe2(ends, O_CLOEXEC) == 0 && write(ends[1], "data", 4) == 4, "pipe");
  s->two = ends[0];
  s->other = dup(ends[0]);
  s->kept = 4;
}
static void a_file(struct scene* s) { file(s, O_WRONLY, 0); }
static void a_file_read_and_written(struct scene* s) { file(s, O_RDWR, 5000); }
static void a_file_appended_to(struct scene* s) { file(s, O_WRONLY | O_APPEND, 5000); }
static void a_file_only_read(struct scene* s) { file(s, O_RDONLY | O_APPEND, 5000); }
static void a_file_beyond_its_limit(struct scene* s) {
  file(s, O_WRONLY | O_APPEND, 5000);
  s->fsize = 4000;
}
static void a_file_at_its_limit(struct scene* s) {
  file(s, O_WRONLY | O_APPEND, 5000);
  s->fsize = 5000;
}
static void a_file_ten_bytes_below_its_limit(struct scene* s) {
  file(s, O_WRONLY | O_APPEND, 5000);
  s->fsize = 5010;
}
static void limit_zero(struct scene* s) {
  file(s, O_WRONLY | O_APPEND, 0);
  s->fsize = 0;
}
static void a_file_in_memory(struct scene* s) {
  s->two = memfd_create("own_message", MFD_CLOEXEC);
  s->other = dup(s->two);
}
static void closed(struct scene* s) { s->two = -1; }
static void a_socket(struct scene* s) { sockets(s, SOCK_STREAM); }
static void a_datagram_socket(struct scene* s) { sockets(s, SOCK_DGRAM); }
static void a_full_socket(struct scene* s) {
  sockets(s, SOCK_STREAM);
  fill(s->two);
  s->kept = -1;
}
static void a_socket_without_peer(struct scene* s) {
  sockets(s, SOCK_STREAM);
  close(s->other);
  s->other = -1;
}
static void a_socket_that_is_also_the_input(struct scene* s) {
  sockets(s, SOCK_STREAM);
  s->zero = s->two;
}
static void a_tcp_connection(struct scene* s) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  const int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  check(bind(door, (struct sockaddr*)&at, len) == 0 && listen(door, 1) == 0, "listen");
  getsockname(door, (struct sockaddr*)&at, &len);
  s->two = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  check(connect(s->two, (struct sockaddr*)&at, len) == 0, "connect");
  s->other = accept4(door, NULL, NULL, SOCK_CLOEXEC);
  close(door);
}
static void a_terminal(struct scene* s) { terminal(s, 0); }
static void the_typing_side_of_a_terminal(struct scene* s) {
  terminal(s, 0);
  const int typing = s->other;
  s->other = s->two, s->two = typing;
  struct termios settings;
  tcgetattr(s->other, &settings);
  cfmakeraw(&settings);
  tcsetattr(s->other, TCSANOW, &settings);
}
static void a_stopped_terminal(struct scene* s) {
  terminal(s, 0);
  if (s->two >= 0) tcflow(s->two, TCOOFF);
}
static void a_full_terminal(struct scene* s) {
  terminal(s, 0);
  if (s->two >= 0) fill(s->two), s->kept = -1;
}
static void a_background_under_tostop(struct scene* s) {
  terminal(s, TOSTOP);
  s->terminal = s->two;
}
static void a_background(struct scene* s) {
  terminal(s, 0);
  s->terminal = s->two;
}
static void dev_null(struct scene* s) { device(s, "/dev/null"); }
static void dev_full(struct scene* s) { device(s, "/dev/full"); }
static void a_counter(struct scene* s) {
  s->two = eventfd(5, EFD_CLOEXEC | EFD_NONBLOCK);
  s->other = dup(s->two);
  s->kept = 8;
}
static void a_folder(struct scene* s) { s->two = open(".", O_RDONLY | O_CLOEXEC); }
static void a_name_without_a_file(struct scene* s) { s->two = open(".", O_PATH | O_CLOEXEC); }

static const struct {
  const char* name;
  void (*set)(struct scene*);
} kinds[] = {
#define KIND(name) \
  { #name, name }
    KIND(a_pipe),
    KIND(a_pipe_without_reader),
    KIND(a_pipe_without_reader_but_sigpipe_pending),
    KIND(a_full_pipe),
    KIND(reading_end_of_a_pipe),
    KIND(a_file),
    KIND(a_file_read_and_written),
    KIND(a_file_appended_to),
    KIND(a_file_only_read),
    KIND(a_file_beyond_its_limit),
    KIND(a_file_at_its_limit),
    KIND(a_file_ten_bytes_below_its_limit),
    KIND(limit_zero),
    KIND(a_file_in_memory),
    KIND(closed),
    KIND(a_socket),
    KIND(a_datagram_socket),
    KIND(a_full_socket),
    KIND(a_socket_without_peer),
    KIND(a_socket_that_is_also_the_input),
    KIND(a_tcp_connection),
    KIND(a_terminal),
    KIND(the_typing_side_of_a_terminal),
    KIND(a_stopped_terminal),
    KIND(a_full_terminal),
    KIND(a_background_under_tostop),
    KIND(a_background),
    KIND(dev_null),
    KIND(dev_full),
    KIND(a_counter),
    KIND(a_folder),
    KIND(a_name_without_a_file),
};

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
    sigaddset(&set, SIGPIPE);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGPIPE);
  }
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
    struct scene s = {-1, -1, 0, RLIM_INFINITY, -1, 0, -1};
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
