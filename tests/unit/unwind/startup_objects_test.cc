// SPDX-License-Identifier: MIT
//
// What of an object may be read directly: its segments, not what others have mapped between them.
#include "shim/unwind/startup_objects.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <vector>

#include "shim/unwind/memory.h"
#include "tests/unit/catch.h"

using namespace ovcshim;

namespace {

constexpr uint64_t kPage = 4096, kRoom = 32 * kPage;
constexpr unsigned kMostParts = 8;

uint64_t address(const void* at) { return reinterpret_cast<uint64_t>(at); }

std::vector<Extent> parts(uint64_t head) {
  Extent all[kMostParts];
  return {all, all + parts_of(head, all, kMostParts)};
}

struct Load {
  uint64_t vaddr, bytes;
};

// An object's first page at `at`.
void put_object(char* at, const std::vector<Load>& loads) {
  Elf64_Ehdr elf{};
  std::memcpy(elf.e_ident, ELFMAG, SELFMAG);
  elf.e_phoff = sizeof elf;
  elf.e_phentsize = sizeof(Elf64_Phdr);
  elf.e_phnum = static_cast<uint16_t>(loads.size());
  std::memcpy(at, &elf, sizeof elf);
  at += sizeof elf;
  for (const Load& load : loads) {
    Elf64_Phdr header{};
    header.p_type = PT_LOAD;
    header.p_vaddr = load.vaddr;
    header.p_memsz = load.bytes;
    std::memcpy(at, &header, sizeof header);
    at += sizeof header;
  }
}

char* room() {
  void* at = mmap(nullptr, kRoom, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(at != MAP_FAILED);
  return static_cast<char*>(at);
}

struct Object {
  uint64_t head;
  std::vector<Extent> segments;
};
int collect(dl_phdr_info* info, size_t, void* out) {
  Object object{0, {}};
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& header = info->dlpi_phdr[i];
    if (header.p_type != PT_LOAD) continue;
    const uint64_t at = info->dlpi_addr + header.p_vaddr;
    if (object.segments.empty()) object.head = at & ~(kPage - 1);
    object.segments.push_back({at, at + header.p_memsz});
  }
  static_cast<std::vector<Object>*>(out)->push_back(object);
  return 0;
}

}  // namespace

TEST_CASE(
    "startup objects: each segment of what is loaded lies in a part, and all of a part is mapped") {
  std::vector<Object> objects;
  dl_iterate_phdr(collect, &objects);
  REQUIRE(objects.size() >= 3);
  for (const Object& object : objects) {
    const auto found = parts(object.head);
    REQUIRE_FALSE(found.empty());
    CHECK(found[0].start == object.head);
    for (const Extent& segment : object.segments) {
      bool in_one = false;
      for (const Extent& part : found)
        in_one |= part.start <= segment.start && segment.end <= part.end;
      CHECK(in_one);
    }
    for (const Extent& part : found)  // an end of no whole page of the kernel's is not counted
      CHECK(msync(reinterpret_cast<void*>(part.start & ~uint64_t(getpagesize() - 1)),
                  part.end - part.start, MS_ASYNC) == 0);
  }
}

TEST_CASE("startup objects: segments without a hole between them are one part") {
  char* at = room();
  const uint64_t start = address(at);
  put_object(at, {{0, 0x100}, {0x1100, 0x100}, {0x10100, 0x2000}, {0x13000, 8}});
  const auto found = parts(start);
  REQUIRE(found.size() == 2);
  CHECK((found[0].start == start && found[0].end == start + 0x2000));
  CHECK((found[1].start == start + 0x10000 && found[1].end == start + 0x14000));
  put_object(at, {{0x400000, 0x100}, {0x410000, 0x100}});  // an address of its own
  REQUIRE(parts(start).size() == 2);
  CHECK(parts(start)[1].start == start + 0x10000);
  put_object(at, {{0x10000, 0x100}, {0, 0x100}, {0x20000, 0x100}});  // in no order
  CHECK(parts(start).size() == 1);
  put_object(at, {{0, UINT64_MAX}});
  CHECK(parts(start).empty());
  at[0] = 0;
  CHECK(parts(start).empty());
  munmap(at, kRoom);
}

// As the loader's own hole, which is free for mmap, on aarch64.
TEST_CASE(
    "startup objects: a file in a hole is read by copy, also when it has just lost its pages") {
  char* at = room();
  put_object(at, {{0, 0x100}, {0x10000, 0x100}});
  char name[] = "/tmp/ovc-hole.XXXXXX";
  const int file = mkstemp(name);
  REQUIRE((file >= 0 && unlink(name) == 0));
  REQUIRE(ftruncate(file, 0x10000) == 0);
  char* hole = at + 0x10000 - getpagesize();
  REQUIRE(mmap(hole, kPage, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, 0) == hole);
  const pid_t child = fork();
  if (child == 0) {
    char got = 1;
    for (const Extent& part : parts(address(at))) keep_object(part.start, part.end, false);
    if (!copy_memory(&got, address(at) + 1, 1) || got != 'E') _exit(1);
    if (!copy_memory(&got, address(hole), 1) || got != 0 || ftruncate(file, 0) != 0) _exit(2);
    _exit(copy_memory(&got, address(hole), 1) ? 3 : 0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  close(file);
  munmap(at, kRoom);
}
