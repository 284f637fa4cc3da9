// SPDX-License-Identifier: MIT
#include "shim/session/told_once.h"

#include <errno.h>
#include <fcntl.h>

#include "shim/proc/lines.h"
#include "shim/proc/proc_files.h"
#include "shim/record/directory.h"
#include "shim/record/log_path.h"
#include "shim/record/process.h"

namespace ovcshim {
namespace {

constexpr const char* kPlaces[] = {"/var/tmp/", "/tmp/", "/dev/shm/"};
constexpr char kPrefix[] = ".ovcshim-told.";

uint32_t own_uid() { return static_cast<uint32_t>(sys::call(__NR_geteuid)); }

struct Link {
  char name[96];
  char start[24];
  Link(const char* place, const char* what, uint32_t pid, uint64_t start_ticks) {
    PathText path{name, name + sizeof name};
    path.add(place), path.add(kPrefix), path.add(what), path.add('.'), path.add_number(pid);
    PathText text{start, start + sizeof start};
    text.add_number(start_ticks);
  }
};

// Left by us or by root, of a process that started then. False also if there is none.
bool says(const char* name, const char* start) {
  char target[24]{};
  FileStat st{};
  const long n = sys::call(__NR_readlinkat, AT_FDCWD, reinterpret_cast<long>(name),
                           reinterpret_cast<long>(target), sizeof target - 1);
  return !sys::failed(n) && static_cast<uint64_t>(n) == sys::length(start) &&
         sys::equal(target, start, static_cast<uint64_t>(n)) && file_stat(AT_FDCWD, name, st) &&
         (st.uid == 0 || st.uid == own_uid());
}

enum class Claim : uint8_t { kOurs, kTold, kCannot };

// Of several that come here at once, the kernel lets one through.
Claim claim(const Link& link) {
  for (int tries = 0; tries < 2; ++tries) {
    const long made = sys::call(__NR_symlinkat, reinterpret_cast<long>(link.start), AT_FDCWD,
                                reinterpret_cast<long>(link.name));
    if (!sys::failed(made)) return Claim::kOurs;
    if (made != -EEXIST) return Claim::kCannot;
    if (says(link.name, link.start)) return Claim::kTold;
    // of an earlier process with that pid
    sys::call(__NR_unlinkat, AT_FDCWD, reinterpret_cast<long>(link.name), 0);
  }
  return Claim::kCannot;
}

// The pid in the name of one of our links, 0: it is none.
uint32_t pid_of_link(const char* name) {
  constexpr uint64_t kLength = sizeof kPrefix - 1;
  if (sys::length(name) <= kLength || !sys::equal(name, kPrefix, kLength)) return 0;
  for (name += kLength; *name && *name != '.';) ++name;
  const uint64_t pid = *name ? parse_number(name + 1) : 0;
  return pid < UINT32_MAX ? static_cast<uint32_t>(pid) : 0;
}

void remove_if_gone(const char* place, const char* name) {
  const uint32_t pid = pid_of_link(name);
  if (!pid) return;
  char whole[96], start[24];
  PathText path{whole, whole + sizeof whole};
  path.add(place), path.add(name);
  PathText text{start, start + sizeof start};
  text.add_number(read_stat(pid).start_ticks);
  FileStat st{};
  if (path.fits && !says(whole, start) && file_stat(AT_FDCWD, whole, st) && st.uid == own_uid())
    sys::call(__NR_unlinkat, AT_FDCWD, reinterpret_cast<long>(whole), 0);
}

void tidy(const char* place) {
  char io[2048];
  Directory directory(place, io, sizeof io);
  while (const char* name = directory.next()) remove_if_gone(place, name);
}

bool is_told(const char* what, const Family& family) {
  for (const char* place : kPlaces)
    for (unsigned i = 0; i < family.count; ++i) {
      const Link link(place, what, family.pids[i], family.starts[i]);
      if (says(link.name, link.start)) return true;
    }
  return false;
}

bool has_shim(uint32_t pid) {
  char path[32], io[1024];
  PathText text{path, path + sizeof path};
  text.add("/proc/"), text.add_number(pid), text.add("/maps");
  Lines lines(path, io, sizeof io);
  constexpr char kName[] = "/libovcshim.so";
  constexpr uint64_t kLength = sizeof kName - 1;
  while (const char* line = lines.ok() ? lines.next() : nullptr) {
    const uint64_t n = sys::length(line);
    if (n >= kLength && sys::equal(line + n - kLength, kName, kLength)) return true;
  }
  return false;
}

// Index of the farthest one above this process that has the shim and may be looked into; 0: none.
unsigned root_of(const Family& family) {
  unsigned i = family.count ? family.count - 1 : 0;
  while (i > 0 && !has_shim(family.pids[i])) --i;
  return i;
}

}  // namespace

bool is_first_to_tell(const char* what) {
  Family family;
  read_family(family, 0);
  if (!family.count) return true;  // no /proc
  if (is_told(what, family)) return false;
  const unsigned root = root_of(family);
  for (const char* place : kPlaces) {
    const Claim claimed = claim({place, what, family.pids[root], family.starts[root]});
    if (claimed == Claim::kTold) return false;
    if (claimed == Claim::kCannot) continue;
    if (root) claim({place, what, family.pids[0], family.starts[0]});
    tidy(place);
    return true;
  }
  return root == 0;
}

void leave_it_to_others(const char* what) {
  Family family;
  read_family(family, 0);
  for (const char* place : kPlaces)
    for (unsigned i = 0; i < family.count; ++i) {
      const Link link(place, what, family.pids[i], family.starts[i]);
      if (says(link.name, link.start))
        sys::call(__NR_unlinkat, AT_FDCWD, reinterpret_cast<long>(link.name), 0);
    }
}

}  // namespace ovcshim
