// SPDX-License-Identifier: MIT
//
// The shim's parsers of /proc texts: every file it opens has the input's bytes, in pieces of a size
// that the input says. Its buffers are allocated to the byte, so that one too far is seen.
#include <cstdlib>
#include <memory>

#include "shim/proc/cgroups.h"
#include "shim/record/process.h"
#include "shim/record/smaps.h"
#include "shim/unwind/modules.h"
#include "tests/fuzz/proc_file_of_bytes.h"

namespace {

using namespace ovcshim;

constexpr uint64_t kIoBytes = 8192;

struct FactList {
  std::unique_ptr<Fact[]> list{new Fact[kRoom]};
  std::unique_ptr<char[]> io{new char[kIoBytes]};
  Facts facts{list.get(), kRoom};
  static constexpr uint32_t kRoom = 16;
};

void read_facts(unsigned which) {
  FactList f;
  switch (which) {
    case 0: add_meminfo(f.facts, f.io.get(), kIoBytes); break;
    case 1: add_status(f.facts, f.io.get(), kIoBytes); break;
    case 2: add_tasks(f.facts, f.io.get(), kIoBytes); break;
    case 3: {
      const std::unique_ptr<char[]> lines(new char[kIoBytes]);
      GroupText text{lines.get(), kIoBytes};
      GroupFiles files;
      files.real = false;  // whatever mount the bytes name
      add_cgroups(f.facts, f.io.get(), kIoBytes, &text, files);
      if (text.length >= kIoBytes) abort();
      break;
    }
    case 4: add_oom_kills(f.facts, f.io.get(), kIoBytes); break;
    default: add_overcommit(f.facts);
  }
  if (f.facts.count > FactList::kRoom) abort();
}

void read_smaps() {
  const std::unique_ptr<char[]> io(new char[kIoBytes]);
  Smaps smaps(io.get(), kIoBytes);
  MappingEntry mapping;
  while (smaps.next(mapping)) {}
}

void read_objects() {
  static const std::unique_ptr<ModuleTable> table(new ModuleTable);
  if (!read_modules(*table)) return;
  if (table->count > kMaxModules) abort();
  for (unsigned i = 0; i < table->count; ++i) {
    const Module& module = table->modules[i];
    if (module.path_len > sizeof module.path || module.build_id_len > sizeof module.build_id)
      abort();
    if (find_module(*table, module.text_start) == nullptr && module.text_start < module.text_end)
      continue;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return -1;
  g_file_of_bytes = {data + 2, size - 2, data[1] ? data[1] * uint64_t{16} : 1};
  switch (data[0] % 9) {
    case 6: read_smaps(); break;
    case 7: read_objects(); break;
    case 8: read_stat(0); break;
    default: read_facts(data[0] % 9);
  }
  return 0;
}
