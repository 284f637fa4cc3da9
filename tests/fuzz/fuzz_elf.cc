// SPDX-License-Identifier: MIT
//
// An ELF file that a log names: symbols, method and message names, source lines, why it has no
// shim. The input is the file; its build id is the one that elf_seed.c is linked with.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "tests/fuzz/checks.h"
#include "tests/fuzz/elf_mutator.h"
#include "tools/symbols/elf_object.h"
#include "tools/symbols/executable.h"

namespace {

using namespace ovc;

constexpr std::string_view kBuildId("\x6f\x76\x63\x66\x75\x7a\x7a\x01", 8);
constexpr uint64_t kCodeStart = 0x1000, kCodeBytes = 0x200, kStep = 0x0d;

void name_all(const ElfObject& object) {
  size_t bytes = 0;
  for (uint64_t address = kCodeStart; address < kCodeStart + kCodeBytes; address += kStep) {
    if (const auto* symbol = object.symbol_at(address)) bytes += std::strlen(symbol->name);
    if (const auto* method = object.method_at(address)) bytes += method->name.size();
    if (const auto messenger = object.messenger_at(address, "nginx"))
      bytes += messenger->name.size();
    for (const SourceFrame& frame : object.source_at(address))
      bytes += frame.function.size() + frame.file.size();
    object.has_bytes(address, "\x0f\x05");
  }
  if (bytes > 1 << 24 || object.defines("no such name at all, surely")) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static fuzz::MemoryFile file;
  file.set({data, size});
  if (const auto object = ElfObject::open(file.path(), kBuildId)) name_all(*object);
  why_without_shim(file.path());
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  std::mt19937 random(seed);
  std::vector<unsigned char> file(data, data + size);
  for (unsigned changes = 1 + random() % 3; changes > 0; --changes) fuzz::change_elf(file, random);
  file.resize(std::clamp<size_t>(file.size(), 1, max_size));
  std::memcpy(data, file.data(), file.size());
  return file.size();
}
