// SPDX-License-Identifier: MIT
// Makes a situation in which a call is refused, makes that call once, and prints what it got, as
// one line of JSON:
//   refused STEP... call:NAME[:AMOUNT]
//   refused --errnos
// lists the calls of refused_errno.h: name, errno, cause, words of the reason.
// Steps are words like limit:as:vmsize+64M or map:noreserve:2G (refused_setup.h), calls are in
// refused_calls.h, amounts in refused_measure.h. `thread`: what follows is done by a second thread.
// Exit status: 0 refused, 1 granted, 3 the situation could not be made. Used by tests/cases/run.sh.
#define _GNU_SOURCE
#include "tests/programs/refused_calls.h"

static long long soft_limit(int resource) {
  struct rlimit limit;
  getrlimit(resource, &limit);
  return limit.rlim_cur == RLIM_INFINITY ? -1 : (long long)limit.rlim_cur;
}

static void print_outcome(const struct outcome* outcome, int64_t room) {
  char line[512];
  const int n =
      snprintf(line, sizeof line,
               "{\"failed\": %s, \"errno\": %d, \"pid\": %d, \"tid\": %d, \"charge_kb\": "
               "%lld, \"room_kb\": %lld, \"given_back_kb\": %lld, "
               "\"RLIMIT_AS\": %lld, \"RLIMIT_DATA\": %lld, \"RLIMIT_MEMLOCK\": %lld, "
               "\"RLIMIT_NPROC\": %lld}\n",
               outcome->failed ? "true" : "false", outcome->failed ? outcome->err : 0,
               (int)getpid(), (int)gettid(), (long long)outcome->charge_kb, (long long)room,
               (long long)given_back_kb, soft_limit(RLIMIT_AS), soft_limit(RLIMIT_DATA),
               soft_limit(RLIMIT_MEMLOCK), soft_limit(RLIMIT_NPROC));
  if (write(STDOUT_FILENO, line, (size_t)n) != n) defect("write");
}

static void* go_on(void* rest);

static void make_situation(char** words) {
  for (; *words; words++) {
    if (strcmp(*words, "thread") == 0) {
      pthread_t thread;
      if (pthread_create(&thread, NULL, go_on, words + 1) || pthread_join(thread, NULL))
        defect("thread");
      return;
    }
    if (strncmp(*words, "call:", 5) != 0) {
      make_step(*words);
      continue;
    }
    char* parts[4];
    split(*words, parts);
    const int64_t room = room_kb();
    errno = 0;
    const struct outcome outcome = make_call(parts + 1);
    print_outcome(&outcome, room);
    _exit(outcome.failed ? 0 : 1);
  }
  defect("no call given");
}

static void* go_on(void* rest) {
  make_situation(rest);
  return NULL;
}

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "--errnos") == 0) {
    list_errno_cases();
    return 0;
  }
  make_situation(argv + 1);
}
