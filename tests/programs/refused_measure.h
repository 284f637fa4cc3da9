// SPDX-License-Identifier: MIT
// What tests/programs/refused.c measures about itself and the machine, without changing either: no
// allocation, and system calls that no preloaded library sees as calls of ours. Amounts in kB; they
// are its own truth, taken just before the call.
#pragma once
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

_Noreturn static void defect(const char* what) {
  perror(what);
  _exit(3);  // the driver takes it for a defect of the case
}

static int kernel_before(int major, int minor) {
  struct utsname name;
  int have[2] = {0, 0};
  if (uname(&name) || sscanf(name.release, "%d.%d", &have[0], &have[1]) != 2) defect("uname");
  return have[0] < major || (have[0] == major && have[1] < minor);
}

// The whole of a small file; smaps is read in pieces by those who need it.
static char file_text[1 << 16];
static const char* text_of(const char* path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) defect(path);
  size_t have = 0;
  for (ssize_t n; have < sizeof file_text - 1 &&
                  (n = read(fd, file_text + have, sizeof file_text - 1 - have)) > 0;)
    have += (size_t)n;
  file_text[have] = '\0';
  close(fd);
  return file_text;
}

static int64_t number_in(const char* path) { return strtoll(text_of(path), NULL, 10); }

// The number behind "key:" at the start of a line; -1 if there is none.
static int64_t field(const char* path, const char* key, int base) {
  const size_t len = strlen(key);
  for (const char* line = text_of(path); line; line = strchr(line, '\n')) {
    if (*line == '\n') line++;
    if (strncmp(line, key, len) == 0 && line[len] == ':')
      return (int64_t)strtoull(line + len + 1, NULL, base);
  }
  return -1;
}
static int64_t meminfo_kb(const char* key) { return field("/proc/meminfo", key, 10); }
static int64_t status_kb(const char* key) { return field("/proc/self/status", key, 10); }

// Calls `each` for every line of a file of any length, cut to the buffer.
static void for_each_line(const char* path, void (*each)(const char* line, void* arg), void* arg) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) defect(path);
  size_t have = 0;
  for (ssize_t n; (n = read(fd, file_text + have, sizeof file_text - 1 - have)) > 0;) {
    have += (size_t)n;
    file_text[have] = '\0';
    char* line = file_text;
    for (char* end; (end = strchr(line, '\n')); line = end + 1) {
      *end = '\0';
      each(line, arg);
    }
    have = (size_t)(file_text + have - line);
    memmove(file_text, line, have);
  }
  close(fd);
}

// What a fork is charged: the sum of the mappings that are accounted and not left out of the child.
struct sum {
  int64_t size_kb, total_kb;
};
static void add_accounted(const char* line, void* arg) {
  struct sum* sum = arg;
  if (strncmp(line, "Size:", 5) == 0) sum->size_kb = strtoll(line + 5, NULL, 10);
  if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " ac") && !strstr(line, " dc"))
    sum->total_kb += sum->size_kb;
}
static int64_t fork_charge_kb(void) {
  struct sum sum = {0, 0};
  for_each_line("/proc/self/smaps", add_accounted, &sum);
  return sum.total_kb;
}

static void count_mapping(const char* line, void* arg) {
  *(int64_t*)arg += strstr(line, "[vsyscall]") == NULL;
}
static int64_t mappings(void) {
  int64_t count = 0;
  for_each_line("/proc/self/maps", count_mapping, &count);
  return count;
}

// Mode 2: what may still be asked for. Documentation/mm/overcommit-accounting.rst; mm/util.c
// __vm_enough_memory().
static int64_t room_kb(void) {
  const int64_t by_size = status_kb("VmSize") / 4 / 32 * 4,
                most = number_in("/proc/sys/vm/user_reserve_kbytes") / 4 * 4;
  int64_t room =
      meminfo_kb("CommitLimit") - meminfo_kb("Committed_AS") - (by_size < most ? by_size : most);
  if (!(field("/proc/self/status", "CapEff", 16) >> 21 & 1))
    room -= number_in("/proc/sys/vm/admin_reserve_kbytes") / 4 * 4;
  return room;
}

static int64_t limit_left_kb(int resource, const char* used) {
  struct rlimit limit;
  getrlimit(resource, &limit);
  return (int64_t)(limit.rlim_cur / 4096 * 4) - status_kb(used);
}

static int64_t ram_kb(void) { return meminfo_kb("MemTotal") + meminfo_kb("SwapTotal"); }
static int64_t vmsize_kb(void) { return status_kb("VmSize"); }
static int64_t vmdata_kb(void) { return status_kb("VmData"); }
static int64_t vmlck_kb(void) { return status_kb("VmLck"); }
static int64_t as_left_kb(void) { return limit_left_kb(RLIMIT_AS, "VmSize"); }
static int64_t data_left_kb(void) { return limit_left_kb(RLIMIT_DATA, "VmData"); }
static int64_t lock_left_kb(void) { return limit_left_kb(RLIMIT_MEMLOCK, "VmLck"); }

static const struct {
  const char* name;
  int64_t (*kb)(void);
} kAmounts[] = {{"room", room_kb},      {"ram", ram_kb},       {"vmsize", vmsize_kb},
                {"vmdata", vmdata_kb},  {"vmlck", vmlck_kb},   {"as", as_left_kb},
                {"data", data_left_kb}, {"lock", lock_left_kb}};

static int64_t named_kb(const char* name, size_t len) {
  for (size_t i = 0; i < sizeof kAmounts / sizeof *kAmounts; i++)
    if (strlen(kAmounts[i].name) == len && strncmp(kAmounts[i].name, name, len) == 0)
      return kAmounts[i].kb();
  defect(name);
}

static int64_t plain_kb(const char* text, const char** rest) {
  const struct {
    char suffix;
    int64_t kb;
  } units[] = {{'K', 1}, {'M', 1 << 10}, {'G', 1 << 20}, {'T', 1 << 30}};
  const int64_t n = strtoll(text, (char**)(uintptr_t)rest, 10);
  for (size_t i = 0; i < sizeof units / sizeof *units; i++)
    if (**rest == units[i].suffix) {
      ++*rest;
      return n * units[i].kb;
    }
  if (n) defect(text);  // a size without a unit is a slip
  return 0;
}

// SIZE, NAME, NAME+SIZE or NAME-SIZE, in kB: `as+4K` is one page more than RLIMIT_AS leaves.
static int64_t amount_kb(const char* text) {
  const size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz");
  int64_t kb = 0;
  if (len) kb = named_kb(text, len) / 4 * 4;
  if (text[len] == '\0') return kb;
  const int sign = text[len] == '-' ? -1 : 1;
  const char* rest = NULL;
  kb += sign * plain_kb(text + len + (len != 0), &rest);
  return kb;
}
