// SPDX-License-Identifier: MIT
// A step of tests/programs/refused.c: a memory control group, of version 1 or 2, that is full. See
// refused_setup.h.
#pragma once

// fill:DIRECTORY: the memory cgroup it is in is full, of what cannot be taken away: pages in pipes.
// All memory of the process is there already and locked, since its next page fault would wait for
// ever (mm/memcontrol-v1.c, oom_kill_disable). Version 2 always has a killer; where nobody may be
// killed it gives up, and the charge fails (mm/oom_kill.c out_of_memory()).
static void step_fill(char** words) {
  static char page[kPage];
  char path[512], limit[32];
  volatile char stack[1 << 16];
  for (size_t i = 0; i < sizeof stack; i += kPage) stack[i] = 1;
  memset(file_text, 1, sizeof file_text);
  if (direct(SYS_mlockall, MCL_CURRENT))
    defect("mlockall");  // the log too: the shim would take it out again
  snprintf(path, sizeof path, "%s/memory.max", words[0]);
  const bool version2 = access(path, F_OK) == 0;
  char self[] = "/proc/self/oom_score_adj", never[] = "-1000";
  if (version2) step_write((char*[]){self, never});
  snprintf(path, sizeof path, "%s/memory.%s", words[0], version2 ? "current" : "usage_in_bytes");
  snprintf(limit, sizeof limit, "%lld", (long long)number_in(path) + (8 << 20));
  snprintf(path, sizeof path, "%s/memory.%s", words[0], version2 ? "max" : "limit_in_bytes");
  step_write((char*[]){path, limit});
  int last[2];
  if (pipe2(last, O_NONBLOCK | O_CLOEXEC)) defect("pipe2");
  while (write(last[1], page, sizeof page) > 0) {}
  bool full = false;
  for (int ends[2]; !full && pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0;) {
    while (write(ends[1], page, sizeof page) > 0) {}
    full = errno == ENOMEM;
  }
  const int err = errno;
  for (long n = atol(words[1]); n > 0; n--)
    if (read(last[0], page, sizeof page) != sizeof page) defect("read");
  errno = err;
  if (errno != ENOMEM && errno != ENFILE) defect("pipe2");
}
