// SPDX-License-Identifier: MIT
// Steps of tests/programs/refused.c that change what the process is shown: files mounted over those
// of /proc, control groups inside others, and only a part of their tree; and what a security module
// takes it for. See refused_setup.h.
#pragma once
#include <sys/mount.h>
#include <sys/stat.h>

// Mounts of its own, seen by nobody else.
static void own_mounts(void) {
  if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
    defect("own mounts");
}

// fakemem:SIZE: /proc/meminfo as lxcfs shows it, with so much RAM and no swap
static void step_fakemem(char** words) {
  static char text[1 << 14];
  char name[] = "/var/tmp/ovc-meminfo.XXXXXX";
  const int to = mkstemp(name), from = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
  const ssize_t n = from < 0 ? -1 : read(from, text, sizeof text - 1);
  if (to < 0 || n <= 0 || fchmod(to, 0644)) defect("fakemem");
  text[n] = 0;
  char* rest = NULL;
  for (char* line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
    if (strncmp(line, "MemTotal:", 9) == 0)
      dprintf(to, "MemTotal: %lld kB\n", (long long)amount_kb(words[0]));
    else if (strncmp(line, "SwapTotal:", 10) == 0) dprintf(to, "SwapTotal: 0 kB\n");
    else dprintf(to, "%s\n", line);
  }
  close(to);
  close(from);
  own_mounts();
  if (mount(name, "/proc/meminfo", NULL, MS_BIND, NULL) || unlink(name)) defect("fakemem");
}

// nest:DIRECTORY: into a group made in that one
static void step_nest(char** words) {
  char path[512], pid[32];
  snprintf(path, sizeof path, "%s/inner", words[0]);
  if (mkdir(path, 0755)) defect("nest");
  strncat(path, "/cgroup.procs", sizeof path - strlen(path) - 1);
  snprintf(pid, sizeof pid, "%d", (int)getpid());
  step_write((char*[]){path, pid});
}

// shift:DIRECTORY:POINT: that group is all of the tree that is mounted, as in a container
static void step_shift(char** words) {
  own_mounts();
  if (mount(words[0], words[1], NULL, MS_BIND, NULL)) defect("shift");
}

// label:NAME: from now on of this SELinux type, or under this AppArmor profile
static void step_label(char** words) {
  char label[256], to[256];
  const int fd = open("/proc/thread-self/attr/current", O_RDWR | O_CLOEXEC);
  const ssize_t n = fd < 0 ? -1 : read(fd, label, sizeof label - 1);
  if (n <= 0) defect("label");
  label[n] = 0;
  char* parts[4] = {label};  // user, role, type, range
  for (int i = 1; i < 4 && parts[i - 1]; i++) {
    parts[i] = strchr(parts[i - 1], ':');
    if (parts[i]) *parts[i]++ = 0;
  }
  const int length =
      parts[3] ? snprintf(to, sizeof to, "%s:%s:%s:%s", label, parts[1], words[0], parts[3])
               : snprintf(to, sizeof to, "changeprofile %s", words[0]);
  if (pwrite(fd, to, (size_t)length, 0) != length)
    defect(to);  // a file of the kernel: from its start
  close(fd);
}
