// SPDX-License-Identifier: MIT
//
// A real log file written by the shim's own code, without the preload: open_log() makes it, a plain
// allocation stands in for the private region.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "shim/record/event.h"
#include "shim/record/log_file.h"
#include "shim/record/module_list.h"
#include "shim/record/process.h"
#include "shim/record/state.h"

struct ShimLog {
  explicit ShimLog(uint64_t events_bytes = 1 << 20, uint64_t calls_bytes = 1 << 20) {
    char name[] = "/var/tmp/ovc-unit.XXXXXX";
    close(mkstemp(name));
    unlink(name);
    path = name;
    const char* why = nullptr;
    int err = 0;
    char room[1024]{};
    ovcshim::LogWish wish;
    wish.path_template = path.c_str();
    wish.events_bytes = events_bytes;
    wish.calls_bytes = calls_bytes;
    opened = ovcshim::open_log(wish, &why, &err, room);
    if (!opened) return;
    // Not the kernel's WIPEONFORK memory: these tests do not fork.
    void* region = mmap(nullptr, sizeof(ovcshim::Private), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ovcshim::g_private = static_cast<ovcshim::Private*>(region);
    ovcshim::g.stack_depth = 8;
    ovcshim::g.ns_index = 0;
    ovcshim::g.recording = true;
    ovcshim::register_image(ovcshim::read_stat(0));
    ovcshim::keep_calls_from(0);
  }
  ~ShimLog() {
    if (opened) munmap(ovcshim::g.header, ovcshim::g.mapped_bytes);
    if (ovcshim::g_private) munmap(ovcshim::g_private, sizeof(ovcshim::Private));
    ovcshim::g_private = nullptr;
    ovcshim::t_hot = &ovcshim::g_no_hot;
    ovcshim::g_lineage = {0, ovcshim::kNoIndex, 0, 0};
    ovcshim::g = ovcshim::Session{};
    unlink(path.c_str());
  }
  ShimLog(const ShimLog&) = delete;
  ShimLog& operator=(const ShimLog&) = delete;

  std::string path;
  bool opened = false;
};
