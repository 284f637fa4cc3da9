// SPDX-License-Identifier: MIT
//
// The text of smaps and maps as mappings: recorded text, odd lines, and this process itself.
#include "tools/host/smaps.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "tests/unit/catch.h"
#include "tools/rules/commit_rules.h"

using namespace ovc;
using namespace ovcshim;

namespace {

struct Parsed {
  std::vector<MappingEntry> mappings;
  std::vector<std::string> names;
  MappingSums sums;
};

Parsed parse(std::string_view text) {
  Parsed parsed;
  MappingParser parser([&](const MappingEntry& mapping, std::string_view name) {
    parsed.mappings.push_back(mapping);
    parsed.names.emplace_back(name);
    parsed.sums.add(mapping, name);
  });
  while (!text.empty()) {
    const size_t end = text.find('\n');
    parser.line(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  parser.end();
  return parsed;
}

// Linux 6.18, shortened: libc malloc's heap, a jemalloc heap started in mode 0, RELRO, shared,
// huge, droppable, vsyscall.
constexpr std::string_view kSmaps =
    "562ad4d52000-562ad4d73000 rw-p 00000000 00:00 0                          [heap]\n"
    "Size:                132 kB\nKernelPageSize:        4 kB\nRss:                  16 "
    "kB\nAnonymous:            16 kB\n"
    "Swap:                  8 kB\nProtectionKey:         0\nVmFlags: rd wr mr mw me ac \n"
    "7fb500000000-7fb520000000 rw-p 00000000 00:00 0 \n"
    "Size:             524288 kB\nVmFlags: rd wr mr mw me nr sd \n"
    "7fb53d6b0000-7fb53d6b4000 r--p 001cf000 08:01 1234                       "
    "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2\n"
    "VmFlags: rd mr mw me ac sd \n"
    "7fb53e000000-7fb53e100000 rw-s 00000000 00:01 5                          /dev/zero (deleted)\n"
    "VmFlags: rd wr sh mr mw me ms sd \n"
    "7fb53f000000-7fb53f200000 rw-p 00000000 00:10 7                          /anon_hugepage "
    "(deleted)\n"
    "VmFlags: rd wr mr mw me de ht sd \n"
    "7fb540000000-7fb540001000 rw-p 00000000 00:00 0                          [anon: getrandom]\n"
    "VmFlags: rd wr mr mw me lo dd nr wf dp sd \n"
    "7fb541000000-7fb541800000 rw-p 00000000 00:00 0 \n"
    "VmFlags: rd wr mr mw me dc ac sd \n"
    "7ffe0c4f1000-7ffe0c512000 rw-p 00000000 00:00 0                          [stack]\n"
    "VmFlags: rd wr mr mw me gd ac \n"
    "7ffe0c5f2000-7ffe0c5f4000 r-xp 00000000 00:00 0                          [vdso]\n"
    "VmFlags: rd ex mr mw me de sd \n"
    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n"
    "VmFlags: ex \n";

}  // namespace

TEST_CASE("smaps: what is charged to a fork, and what is not") {
  const Parsed parsed = parse(kSmaps);
  HostRules rules;
  uint64_t charge_kb = 0;
  for (const auto& mapping : parsed.mappings) charge_kb += fork_charge_kb(mapping, rules);
  CHECK(parsed.mappings.size() == 9);  // vsyscall is part of no process
  CHECK(charge_kb == 132 + 16 + 132);
  CHECK(parsed.mappings[0].rss_kb == 16);
  CHECK(parsed.mappings[0].anonymous_kb == 16);
  CHECK(parsed.mappings[0].swap_kb == 8);
  CHECK((parsed.mappings[0].flags & kMapHeap));
  CHECK(parsed.names[3] == "/dev/zero (deleted)");
  CHECK(parsed.sums.noreserve_kb == 524288 + 4);
  CHECK(parsed.sums.chosen_noreserve_kb == 524288);  // droppable memory is nr in every mode
  CHECK(parsed.sums.dont_copy_kb == 8192);
  CHECK(parsed.sums.shared_kb == 1024);
  CHECK(parsed.sums.huge_kb == 2048);
  CHECK(parsed.sums.heap_and_stack_kb == 264);
  CHECK(parsed.sums.could_be_noreserve_kb == 0);
  CHECK(parsed.sums.jemalloc);
  CHECK(parsed.sums.private_kb == 132 + 524288 + 16 + 2048 + 4 + 8192 + 132 + 8);
}

TEST_CASE("smaps: odd lines") {
  SECTION("a name with everything in it") {
    const Parsed parsed = parse(
        "1000-2000 rw-p 00000000 08:01 7                  /tmp/a b\\012VmFlags: dc 3000-4000 rw-p\n"
        "VmFlags: rd wr ac\n");
    REQUIRE(parsed.mappings.size() == 1);
    CHECK((parsed.mappings[0].flags & (kMapAc | kMapDc | kMapFile)) == (kMapAc | kMapFile));
  }
  SECTION("cut in the middle: what was begun is given, without flags that did not come") {
    const Parsed parsed = parse(
        "1000-2000 rw-p 00000000 00:00 0 \nSize: 4 kB\nVmFlags: rd ac\n3000-5000 rw-p 00000000 "
        "00:00 0 \nSize:");
    REQUIRE(parsed.mappings.size() == 2);
    CHECK(parsed.mappings[1].end == 0x5000);
    CHECK(!(parsed.mappings[1].flags & kMapFlagsKnown));
  }
  SECTION("lines that are none") {
    const Parsed parsed = parse(
        "\nVmFlags: ac\n2000-1000 rw-p 0 0 0\nxyz\n1000-2000\n1000-2000 rw\n10000000000000000-2 "
        "rw-p 0\n-\n");
    CHECK(parsed.mappings.empty());
  }
  SECTION("flags are words, not letters in a row") {
    CHECK(!(parse("1000-2000 rw-p 0 0 0\nVmFlags: xac acx\n").mappings.at(0).flags & kMapAc));
    CHECK((parse("1000-2000 rw-p 0 0 0\nVmFlags: rd ac").mappings.at(0).flags & kMapAc));
  }
}

TEST_CASE("maps: the same mappings without flags") {
  const Parsed parsed = parse(
      "00400000-00452000 r-xp 00000000 08:02 173521                             "
      "/usr/bin/dbus-daemon\n"
      "35b1800000-35b1820000 rw-p 00000000 00:00 0 \n"
      "7ffff7fc1000-7ffff7fc5000 r--p 00000000 00:00 0                          [vvar]\n");
  REQUIRE(parsed.mappings.size() == 3);
  CHECK(parsed.mappings[1].flags == (kMapRead | kMapWrite));
  CHECK(parsed.sums.private_kb == 328 + 128);  // vvar can never be charged
}

TEST_CASE("smaps of this process: mappings made here are found with their flags") {
  constexpr size_t kBytes = 3 << 20;
  const int rw = PROT_READ | PROT_WRITE, anon = MAP_PRIVATE | MAP_ANONYMOUS;
  void* dc = mmap(nullptr, kBytes, rw, anon, -1, 0);
  REQUIRE(dc != MAP_FAILED);
  REQUIRE(madvise(dc, kBytes, MADV_DONTFORK) == 0);
  uint32_t flags = 0;
  uint64_t mappings = 0, maps_mappings = 0;
  REQUIRE(for_each_mapping("/proc/self/smaps", [&](const MappingEntry& m, std::string_view) {
            ++mappings;
            if (m.start == reinterpret_cast<uint64_t>(dc)) flags = m.flags;
          }) == 0);
  REQUIRE(for_each_mapping("/proc/self/maps",
                           [&](const MappingEntry&, std::string_view) { ++maps_mappings; }) == 0);
  CHECK((flags & (kMapAc | kMapDc | kMapFlagsKnown)) == (kMapAc | kMapDc | kMapFlagsKnown));
  CHECK(mappings == maps_mappings);
  munmap(dc, kBytes);
  CHECK(for_each_mapping("/proc/self/no-such-file", [](const MappingEntry&, std::string_view) {}) ==
        ENOENT);
}
