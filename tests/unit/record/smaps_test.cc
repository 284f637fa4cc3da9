// SPDX-License-Identifier: MIT
//
// The list of mappings as the shim reads it: columns of a fixed width are not searched for, and
// what does not keep to them is read as well.
#include "shim/record/smaps.h"

#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "tests/unit/catch.h"
#include "tests/unit/shim_fixture.h"

using namespace ovcshim;

namespace {

struct Wanted {
  uint64_t rss = 4, anonymous = 4, swap = 0;
  std::string flags = "rd wr mr mw me ac ", name;
  bool has_flags = true;
};

std::string line(const char* name, uint64_t kb) {
  char text[64];
  snprintf(text, sizeof text, "%-16s%8lu kB\n", name, kb);
  return text;
}

std::string mapping(uint64_t start, const Wanted& w) {
  char header[128];
  snprintf(header, sizeof header, "%08lx-%08lx rw-p 00000000 00:00 0 ", start, start + 0x1000);
  std::string text = std::string(header) + "      " + w.name + "\n" + line("Size:", 4);
  text += line("KernelPageSize:", 4) + line("Rss:", w.rss) + line("Pss:", 4) +
          line("Referenced:", 4) + line("Anonymous:", w.anonymous) + line("AnonHugePages:", 0) +
          line("Swap:", w.swap) + line("SwapPss:", 0) + line("Locked:", 0) + "THPeligible:    0\n";
  return w.has_flags ? text + "VmFlags: " + w.flags + "\n" : text;
}

std::vector<MappingEntry> read_back(const std::string& text, uint64_t room) {
  char path[] = "/var/tmp/ovc-smaps.XXXXXX";
  close(mkstemp(path));
  std::ofstream(path) << text;
  std::vector<char> io(room);
  std::vector<MappingEntry> found;
  Smaps smaps(io.data(), room, path);
  for (MappingEntry m; smaps.next(m);) found.push_back(m);
  unlink(path);
  return found;
}

}  // namespace

TEST_CASE("smaps: each mapping as the kernel wrote it, in whatever pieces it is read") {
  const ShimLog log;
  const std::vector<Wanted> all = {
      {},
      {8, 4, 2, "rd mr sh nr ", "[heap]"},
      {123456789, 99999999, 1234567890, "rd wr ac ", ""},  // wider than its column
      {16, 12, 4, "rd wr ac dc ", "/a/file Swap: 77 kB"},
      {3, 2, 1, "rd wr ac ", "/VmFlags: ac"},
      {4, 4, 4, "", "without", false},
      {5, 4, 4, "rd wr wf gd ", std::string(1500, 'x')},
      {6, 4, 4, "", "[stack]"},
      {7, 0, 0, "rd", "/last"}};
  std::string text;
  for (size_t i = 0; i < all.size(); ++i) text += mapping(0x10000 * (i + 1), all[i]);
  const uint64_t room = GENERATE(as<uint64_t>{}, 64, 200, 2048, 4096, 8192);
  CAPTURE(room);
  std::vector<MappingEntry> got = read_back(text, room);
  // a name longer than the buffer is cut into lines, of which none is a mapping or an attribute
  REQUIRE(got.size() == all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    CAPTURE(i);
    CHECK(got[i].start == 0x10000 * (i + 1));
    CHECK(got[i].end == got[i].start + 0x1000);
    CHECK(got[i].rss_kb == all[i].rss);
    CHECK(got[i].anonymous_kb == all[i].anonymous);
    CHECK(got[i].swap_kb == all[i].swap);
    CHECK(((got[i].flags & kMapFlagsKnown) != 0) == all[i].has_flags);
    CHECK(((got[i].flags & kMapAc) != 0) ==
          (all[i].has_flags && all[i].flags.find("ac") != std::string::npos));
    CHECK(((got[i].flags & kMapNr) != 0) == (all[i].flags.find("nr") != std::string::npos));
  }
}

TEST_CASE("smaps: a list that ends anywhere gives no mapping that is not there") {
  const ShimLog log;
  const std::string text = mapping(0x10000, {}) + mapping(0x20000, {}) + mapping(0x30000, {});
  for (size_t cut = 1; cut < text.size(); cut += 3) {
    const std::vector<MappingEntry> got = read_back(text.substr(0, cut), 8192);
    CHECK(got.size() <= 3);
    for (size_t i = 0; i < got.size(); ++i) CHECK(got[i].start == 0x10000 * (i + 1));
  }
}
