// SPDX-License-Identifier: MIT
// What descriptor 2 can be, for own_message.c: each kind is a function that sets the scene.
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

struct scene {
  int two;       // becomes descriptor 2; -1: closed
  int other;     // what comes through is read here; -1: nothing can
  off_t kept;    // bytes that were there before
  rlim_t fsize;  // RLIMIT_FSIZE
  int zero;      // becomes descriptor 0, if not -1
  int pending;   // this signal is held back and pending before
  int terminal;  // slave that becomes the controlling terminal; the program runs in its background
  int ignored;   // this signal is ignored
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
  s->pending = SIGPIPE;
}
static void a_pipe_without_reader_but_sigpipe_ignored(struct scene* s) {
  a_pipe_without_reader(s);
  s->ignored = SIGPIPE;
}
static void a_full_pipe(struct scene* s) {
  pipes(s);
  fill(s->two);
  s->kept = -1;
}
static void a_full_pipe_that_does_not_wait(struct scene* s) {
  a_full_pipe(s);
  fcntl(s->two, F_SETFL, O_NONBLOCK);
}
static void a_pipe_of_packets(struct scene* s) {
  pipes(s);
  fcntl(s->two, F_SETFL, O_DIRECT);
}
static void a_pipe_with_room_for_less(struct scene* s) {
  pipes(s);
  fcntl(s->two, F_SETPIPE_SZ, 4096);
  char block[4090];
  memset(block, 'x', sizeof block);
  check(write(s->two, block, sizeof block) == sizeof block, "write");
  s->kept = sizeof block;
}
static void a_named_pipe(struct scene* s) {
  check(mkfifo("own_message.fifo", 0600) == 0, "mkfifo");
  s->two = open("own_message.fifo", O_RDWR | O_CLOEXEC);
  s->other = dup(s->two);
  unlink("own_message.fifo");
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
static void a_file_at_its_limit_and_sigxfsz_pending(struct scene* s) {
  a_file_at_its_limit(s);
  s->pending = SIGXFSZ;
}
static void limit_zero(struct scene* s) {
  file(s, O_WRONLY | O_APPEND, 0);
  s->fsize = 0;
}
static void a_file_in_memory(struct scene* s) {
  s->two = memfd_create("own_message", MFD_CLOEXEC);
  s->other = dup(s->two);
}
static void a_file_in_memory_appended_to(struct scene* s) {
  a_file_in_memory(s);
  fcntl(s->two, F_SETFL, O_APPEND);
}
static void a_sealed_file_in_memory(struct scene* s) {
  s->two = memfd_create("own_message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  check(write(s->two, "data", 4) == 4 &&
            fcntl(s->two, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK) == 0,
        "seals");
  fcntl(s->two, F_SETFL, O_APPEND);
  s->other = dup(s->two);
  s->kept = 4;
}
static void closed(struct scene* s) { s->two = -1; }
static void a_socket(struct scene* s) { sockets(s, SOCK_STREAM); }
static void a_datagram_socket(struct scene* s) { sockets(s, SOCK_DGRAM); }
static void a_full_socket(struct scene* s) {
  sockets(s, SOCK_STREAM);
  fill(s->two);
  s->kept = -1;
}
static void a_full_datagram_socket(struct scene* s) {
  sockets(s, SOCK_DGRAM);
  fill(s->two);
  s->kept = -1;
}
static void a_datagram_socket_without_peer(struct scene* s) {
  sockets(s, SOCK_DGRAM);
  close(s->other);
  s->other = -1;
}
static void a_socket_of_packets(struct scene* s) { sockets(s, SOCK_SEQPACKET); }
static void a_socket_shut_down(struct scene* s) {
  sockets(s, SOCK_STREAM);
  shutdown(s->two, SHUT_WR);
}
static void a_socket_that_listens(struct scene* s) {
  s->two = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const struct sockaddr_un nameless = {.sun_family = AF_UNIX};
  check(bind(s->two, (const struct sockaddr*)&nameless, sizeof(sa_family_t)) == 0 &&
            listen(s->two, 1) == 0,
        "listen");
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
static void a_terminal_that_hung_up(struct scene* s) {
  terminal(s, 0);
  if (s->other >= 0) close(s->other), s->other = -1;
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
static void a_timer(struct scene* s) { s->two = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC); }
static void a_set_of_descriptors(struct scene* s) { s->two = epoll_create1(EPOLL_CLOEXEC); }
static void dev_zero(struct scene* s) { device(s, "/dev/zero"); }
static void own_memory(struct scene* s) { device(s, "/proc/self/mem"); }
static void a_setting(struct scene* s) { device(s, "/proc/self/oom_score_adj"); }
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
    KIND(a_pipe_without_reader_but_sigpipe_ignored),
    KIND(a_full_pipe),
    KIND(a_full_pipe_that_does_not_wait),
    KIND(a_pipe_of_packets),
    KIND(a_pipe_with_room_for_less),
    KIND(a_named_pipe),
    KIND(reading_end_of_a_pipe),
    KIND(a_file),
    KIND(a_file_read_and_written),
    KIND(a_file_appended_to),
    KIND(a_file_only_read),
    KIND(a_file_beyond_its_limit),
    KIND(a_file_at_its_limit),
    KIND(a_file_ten_bytes_below_its_limit),
    KIND(a_file_at_its_limit_and_sigxfsz_pending),
    KIND(limit_zero),
    KIND(a_file_in_memory),
    KIND(a_file_in_memory_appended_to),
    KIND(a_sealed_file_in_memory),
    KIND(closed),
    KIND(a_socket),
    KIND(a_datagram_socket),
    KIND(a_full_socket),
    KIND(a_full_datagram_socket),
    KIND(a_datagram_socket_without_peer),
    KIND(a_socket_of_packets),
    KIND(a_socket_shut_down),
    KIND(a_socket_that_listens),
    KIND(a_socket_without_peer),
    KIND(a_socket_that_is_also_the_input),
    KIND(a_tcp_connection),
    KIND(a_terminal),
    KIND(the_typing_side_of_a_terminal),
    KIND(a_stopped_terminal),
    KIND(a_terminal_that_hung_up),
    KIND(a_full_terminal),
    KIND(a_background_under_tostop),
    KIND(a_background),
    KIND(dev_null),
    KIND(dev_full),
    KIND(a_counter),
    KIND(a_timer),
    KIND(a_set_of_descriptors),
    KIND(dev_zero),
    KIND(own_memory),
    KIND(a_setting),
    KIND(a_folder),
    KIND(a_name_without_a_file),
};
