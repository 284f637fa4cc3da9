// SPDX-License-Identifier: MIT
//
// While one of these lives, no other test changes vm.overcommit_* (tests/fixtures/overcommit.sh): what is compared here would be
// refused memory that it has without.
#pragma once
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>

class SettingsStay {
 public:
  // Waits for as long as another test has the settings or waits for them. Inside of overcommit.sh, they are our own. Without a lock
  // (no file can be made, or read) nothing is waited for.
  SettingsStay() {
    if (getenv("OVC_OVERCOMMIT_HELD")) return;
    const char* named = getenv("OVC_OVERCOMMIT_LOCK");
    const std::string path = named ? named : "/tmp/ovcshim-overcommit.lock";
    const int queue = open_lock(path + ".queue");
    if (queue >= 0) flock(queue, LOCK_SH);  // who waits for the settings holds it: a row of us cannot keep them out
    lock_ = open_lock(path);
    if (lock_ >= 0) flock(lock_, LOCK_SH);
    if (queue >= 0) close(queue);
  }
  ~SettingsStay() {
    if (lock_ >= 0) close(lock_);
  }
  SettingsStay(const SettingsStay&) = delete;
  SettingsStay& operator=(const SettingsStay&) = delete;

 private:
  static int open_lock(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    return fd >= 0 || errno != ENOENT ? fd : open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0644);
  }
  int lock_ = -1;
};
