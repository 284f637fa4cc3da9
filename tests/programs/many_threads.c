// SPDX-License-Identifier: MIT
//
// Threads in malloc and in signal handlers all the time, and one that sleeps; counts what it did,
// checks that what it was given is what it wrote, and that no call of its answered EINTR, until its
// standard input ends.
//   many_threads THREADS [hasty]     hasty: without the calls that a stop may end with EINTR
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <unistd.h>

static atomic_int ended, wrong;
static atomic_long rounds, handled;

static void on_signal(int signal_number) {
  (void)signal_number;
  atomic_fetch_add(&handled, 1);
}

static void complain(const char* what) {
  atomic_store(&wrong, 1);
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
}

// A block keeps what was written into it, and errno what was put there.
static void one_round(unsigned seed) {
  const size_t size = 16 + seed % 200000;
  errno = (int)(seed % 100) + 1;
  unsigned char* block = malloc(size);
  if (!block) return complain("malloc");
  memset(block, (int)(seed & 255), size);
  if (block[0] != (seed & 255) || block[size - 1] != (seed & 255)) complain("a block");
  if (errno != (int)(seed % 100) + 1) complain("errno");
  free(block);
}

static void* busy(void* argument) {
  const unsigned number = (unsigned)(size_t)argument;
  free(malloc(
      1));  // a thread's first one may look into /sys, and leave its errno where there is none
  for (unsigned i = number; !atomic_load(&ended); i += 7919) {
    one_round(i * 2654435761u);
    if (i % 64 == 0) pthread_kill(pthread_self(), SIGUSR1);
    if (i % 16 == 0) {
      void* map = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (map == MAP_FAILED || munmap(map, 65536) != 0) complain("mmap");
    }
    atomic_fetch_add(&rounds, 1);
    usleep(200);
  }
  return NULL;
}

// These answer EINTR when a debugger stops the process; nobody sends this thread a signal.
static void* patient(void* argument) {
  const int set = epoll_create1(0), semaphore = semget(IPC_PRIVATE, 1, 0600);
  struct timespec limit = {0, 50000000};
  (void)argument;
  while (!atomic_load(&ended)) {
    struct epoll_event event;
    struct sembuf take = {0, -1, 0};
    if (epoll_wait(set, &event, 1, 50) != 0) complain("epoll_wait");
    if (semtimedop(semaphore, &take, 1, &limit) != -1 || errno != EAGAIN) complain("semtimedop");
    if (poll(NULL, 0, 50) != 0) complain("poll");
    if (nanosleep(&limit, NULL) != 0) complain("nanosleep");
  }
  semctl(semaphore, 0, IPC_RMID);
  return NULL;
}

int main(int argc, char** argv) {
  const int count = argc > 1 ? atoi(argv[1]) : 8;
  pthread_t* threads = calloc((size_t)count + 1, sizeof *threads);
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigset_t usr1;
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  sigaction(SIGUSR1, &action, NULL);
  for (int i = 0; i < count; ++i) pthread_create(&threads[i], NULL, busy, (void*)(size_t)(i + 1));
  pthread_sigmask(SIG_BLOCK, &usr1, NULL);
  const int patients = argc < 3;
  if (patients) pthread_create(&threads[count], NULL, patient, NULL);
  printf("ready\n");
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) == 1) {}
  atomic_store(&ended, 1);
  for (int i = 0; i < count + patients; ++i) pthread_join(threads[i], NULL);
  printf("%ld rounds, %ld signals, %s\n", atomic_load(&rounds), atomic_load(&handled),
         atomic_load(&wrong) ? "wrong" : "all right");
  return atomic_load(&wrong);
}
