// SPDX-License-Identifier: MIT
//
// The names in a directory, through a caller's buffer. Holds a descriptor: for the constructor
// only.
#pragma once
#include <fcntl.h>

#include "shim/sys/sys.h"

namespace ovcshim {

class Directory {
 public:
  Directory(const char* path, char* io, uint64_t room)
      : fd_(sys::call(__NR_openat, AT_FDCWD, reinterpret_cast<long>(path),
                      O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
        io_(io),
        room_(room) {}
  ~Directory() {
    if (ok()) sys::call(__NR_close, fd_);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  bool ok() const { return !sys::failed(fd_); }

  // nullptr: no more of them.
  const char* next() {
    if (at_ >= have_) {
      have_ = ok() ? sys::call(__NR_getdents64, fd_, reinterpret_cast<long>(io_),
                               static_cast<long>(room_))
                   : 0;
      at_ = 0;
      if (have_ <= 0) return nullptr;
    }
    auto* entry = reinterpret_cast<const Entry*>(io_ + at_);
    at_ += entry->bytes;
    return entry->name;
  }

 private:
  struct Entry {  // struct linux_dirent64
    uint64_t inode, offset;
    uint16_t bytes;
    unsigned char type;
    char name[1];
  };
  long fd_;
  char* io_;
  uint64_t room_;
  long at_ = 0, have_ = 0;
};

}  // namespace ovcshim
