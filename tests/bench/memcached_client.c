// SPDX-License-Identifier: MIT
// A client of memcached: memcached_client PORT THREADS REQUESTS. Each thread has a connection and
// sets and gets 100 bytes by turns, one request at a time. Prints "rate", requests a second, and
// "p99", us until the answer.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { kMaxThreads = 16, kValue = 100 };
static int port;
static long requests;
static float* took;  // us, requests of all threads

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int connected(void) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port = htons((unsigned short)port),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (connect(fd, (struct sockaddr*)&to, sizeof to) != 0) exit(2);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

// Sends a request and reads until the answer ends with `end`.
static void ask(int fd, const char* request, int length, const char* end) {
  char answer[512];
  size_t got = 0;
  if (write(fd, request, (size_t)length) != length) exit(2);
  do {
    const ssize_t n = read(fd, answer + got, sizeof answer - 1 - got);
    if (n <= 0) exit(2);
    got += (size_t)n;
    answer[got] = 0;
  } while (!strstr(answer, end));
}

static void* client(void* number) {
  const long me = (long)number;
  const int fd = connected();
  char value[kValue + 1], request[256];
  memset(value, 'x', kValue);
  value[kValue] = 0;
  for (long i = 0; i < requests; i++) {
    const long key = i / 2 % 10000;
    const double start = now_us();
    if (i % 2 == 0) {
      ask(fd, request,
          snprintf(request, sizeof request, "set k%ld-%ld 0 0 %d\r\n%s\r\n", me, key, kValue,
                   value),
          "STORED\r\n");
    } else {
      ask(fd, request, snprintf(request, sizeof request, "get k%ld-%ld\r\n", me, key), "END\r\n");
    }
    took[me * requests + i] = (float)(now_us() - start);
  }
  close(fd);
  return NULL;
}

static int by_size(const void* a, const void* b) {
  return (*(const float*)a > *(const float*)b) - (*(const float*)a < *(const float*)b);
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  port = atoi(argv[1]);
  const long threads = atol(argv[2]);
  if (threads < 1 || threads > kMaxThreads) return 2;
  requests = atol(argv[3]) / threads;
  const long all = requests * threads;
  took = malloc((size_t)all * sizeof *took);
  if (!took || all < 1) return 2;
  pthread_t ids[kMaxThreads];
  const double start = now_us();
  for (long i = 0; i < threads; i++) pthread_create(&ids[i], NULL, client, (void*)i);
  for (long i = 0; i < threads; i++) pthread_join(ids[i], NULL);
  printf("rate %.0f\n", (double)all / (now_us() - start) * 1e6);
  qsort(took, (size_t)all, sizeof *took, by_size);
  printf("p99 %.1f\n", (double)took[all * 99 / 100]);
  return 0;
}
