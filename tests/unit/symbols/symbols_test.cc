// SPDX-License-Identifier: MIT
//
// Names for addresses of this very program, found the way they are for a recorded one: by module
// list, build id and file.
#include "tools/symbols/symbols.h"

#include <elf.h>
#include <link.h>

#include <cstring>
#include <filesystem>

#include "tests/unit/catch.h"
#include "tests/unit/log_builder.h"

using namespace ovc;
using namespace ovc::test;

namespace {

struct Self {
  uint64_t start = 0, end = 0, bias = 0;
  std::string build_id, path = std::filesystem::read_symlink("/proc/self/exe");
};

std::string build_id_in(const char* notes, size_t size) {
  while (size >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    std::memcpy(&note, notes, sizeof note);
    const size_t name = (note.n_namesz + 3u) & ~3u, desc = (note.n_descsz + 3u) & ~3u;
    if (note.n_type == NT_GNU_BUILD_ID) return {notes + sizeof note + name, note.n_descsz};
    notes += sizeof note + name + desc;
    size -= std::min(size, sizeof note + name + desc);
  }
  return "";
}

int look_at(dl_phdr_info* info, size_t, void* data) {
  auto& self = *static_cast<Self*>(data);
  self.bias = info->dlpi_addr;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& segment = info->dlpi_phdr[i];
    const uint64_t start = self.bias + segment.p_vaddr;
    if (segment.p_type == PT_LOAD && (self.start == 0 || start < self.start)) self.start = start;
    if (segment.p_type == PT_LOAD) self.end = std::max<uint64_t>(self.end, start + segment.p_memsz);
    if (segment.p_type == PT_NOTE && self.build_id.empty())
      self.build_id = build_id_in(reinterpret_cast<const char*>(start), segment.p_memsz);
  }
  return 1;  // the first is the program itself
}

Self self() {
  Self found;
  dl_iterate_phdr(look_at, &found);
  return found;
}

uint64_t address_of(void (*function)()) { return reinterpret_cast<uint64_t>(function); }

}  // namespace

namespace ovc_symbols_test {
[[gnu::noinline]] void lighthouse() { asm volatile("nop; nop; nop; nop"); }
}  // namespace ovc_symbols_test

TEST_CASE("an own function is found by name, and demangled") {
  const Self me = self();
  REQUIRE_FALSE(me.build_id.empty());
  LogBuilder b;
  b.put(make_module(1, me.start, me.end, me.bias, me.build_id, me.path));
  const LogReader log(b.write());
  Symbols symbols(log);
  const Frame frame = symbols.resolve(1, address_of(ovc_symbols_test::lighthouse) + 1).back();
  CHECK_THAT(frame.function, Catch::Matchers::StartsWith("ovc_symbols_test::lighthouse"));
  CHECK(frame.module == std::filesystem::path(me.path).filename());
  CHECK(frame.offset == 1);
  CHECK(symbols.missing(symbols.modules(1)[0]).empty());
}

TEST_CASE(
    "an exact address at a function's start belongs to it, a return address there to what stands "
    "before") {
  const Self me = self();
  LogBuilder b;
  b.put(make_module(1, me.start, me.end, me.bias, me.build_id, me.path));
  const LogReader log(b.write());
  Symbols symbols(log);
  const uint64_t start = address_of(ovc_symbols_test::lighthouse);
  CHECK(symbols.resolve(1, start, Pc::kExact).back().offset == 0);
  CHECK_THAT(symbols.resolve(1, start).back().function,
             !Catch::Matchers::StartsWith("ovc_symbols_test::lighthouse"));
}

// The same addresses, in a log of each machine: what the kernel's [vdso] of aarch64 returned from
// is where the program was interrupted, which may be a function's first instruction.
TEST_CASE("below aarch64's signal frame stands where the program was interrupted") {
  const Self me = self();
  const auto is_named = [&](ovcshim::Machine machine) {
    LogBuilder b;
    b.header().machine = static_cast<uint32_t>(machine);
    b.put(make_module(1, me.start, me.end, me.bias, me.build_id, me.path));
    b.put(make_module(1, 0x1000, 0x2000, 0x1000, "", "[vdso]"));
    const LogReader log(b.write());
    Symbols symbols(log);
    const uint64_t stack[] = {0x1800, address_of(ovc_symbols_test::lighthouse)};
    return symbols.stack(1, stack).back().function.starts_with("ovc_symbols_test::lighthouse");
  };
  CHECK(is_named(ovcshim::Machine::kAarch64));
  CHECK_FALSE(is_named(ovcshim::Machine::kX86_64));
}

TEST_CASE("another build id is another file") {
  const Self me = self();
  LogBuilder b;
  b.put(make_module(1, me.start, me.end, me.bias, std::string(20, 'x'), me.path));
  b.put(make_module(2, me.start, me.end, me.bias, "", me.path));
  const LogReader log(b.write());
  Symbols symbols(log);
  for (const uint32_t image : {1u, 2u}) {
    const Frame frame = symbols.resolve(image, me.bias + 0x1234).back();
    CHECK(frame.function.empty());
    CHECK(frame.text() == std::filesystem::path(me.path).filename().string() + "+0x1234");
    CHECK_FALSE(symbols.missing(symbols.modules(image)[0]).empty());
  }
}

TEST_CASE("an address outside all modules is only a number") {
  LogBuilder b;
  b.put(make_module(1, 0x1000, 0x2000, 0x1000, "", "/bin/x"));
  const LogReader log(b.write());
  Symbols symbols(log);
  CHECK(symbols.resolve(1, 0x5000).back().text() == "0x5000");
  CHECK(symbols.resolve(7, 0x1500).back().text() == "0x1500");
  CHECK(symbols.resolve(1, 0).back().text() == "0x0");
}

TEST_CASE("the newest list wins where lists overlap") {
  LogBuilder b;
  b.put(make_module(1, 0x1000, 0x3000, 0x1000, "", "/lib/old.so"));
  b.put(make_module(1, 0x8000, 0x9000, 0x8000, "", "/lib/stays.so"));
  b.put(make_module(1, 0x2000, 0x4000, 0x2000, "", "/lib/new.so"));
  const LogReader log(b.write());
  Symbols symbols(log);
  CHECK(symbols.module_of(1, 0x2800) == "new.so");
  CHECK(symbols.module_of(1, 0x1800).empty());
  CHECK(symbols.module_of(1, 0x8800) == "stays.so");
}

TEST_CASE("nothing but regular files is opened for names") {
  LogBuilder b;
  b.put(make_module(1, 0x1000, 0x2000, 0x1000, std::string(20, 'x'), "/dev/zero"));
  b.put(make_module(2, 0x1000, 0x2000, 0x1000, std::string(20, 'x'), "relative/path"));
  const LogReader log(b.write());
  Symbols symbols(log);
  CHECK(symbols.resolve(1, 0x1500).back().text() == "zero+0x500");
  CHECK(symbols.resolve(2, 0x1500).back().text() == "path+0x500");
}
