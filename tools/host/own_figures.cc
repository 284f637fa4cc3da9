// SPDX-License-Identifier: MIT
//
// See own_figures.h.
#include "tools/host/own_figures.h"

#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>

#include <cerrno>

#include "tools/rules/host_figures.h"

namespace ovc {
namespace {

using ovcshim::Fact;
using ovcshim::FactKey;

void add(std::vector<Fact>& facts, FactKey key, uint64_t value) {
  facts.push_back({static_cast<uint32_t>(key), 0, value});
}

void add_totals(std::vector<Fact>& facts) {
  struct sysinfo info {};
  if (sysinfo(&info) != 0) return;
  const uint64_t unit = info.mem_unit ? info.mem_unit : 1;
  add(facts, FactKey::kSysinfoRamKb, info.totalram * unit / 1024);
  add(facts, FactKey::kSysinfoSwapKb, info.totalswap * unit / 1024);
}

void add_foreign(std::vector<Fact>& facts, const SystemRoot& root) {
  uint64_t foreign = 0, type = 0;
  for (const HostFileRow& row : host_files()) {
    struct statfs fs {};
    if (statfs((root.proc + "/" + std::string(row.path)).c_str(), &fs) != 0) {
      if (errno == ENOENT) continue;
      return;
    }
    if (fs.f_type == PROC_SUPER_MAGIC) continue;
    if (!foreign) type = static_cast<uint64_t>(fs.f_type);
    foreign |= row.bit;
  }
  add(facts, FactKey::kForeignFiles, foreign);
  if (foreign) add(facts, FactKey::kForeignFsType, type);
}

std::optional<uint64_t> committed_now(const SystemRoot& root) {
  return number_after(read_small(root.proc + "/meminfo").value_or(""), "Committed_AS:");
}

}  // namespace

std::vector<Fact> own_figures(const SystemRoot& root) {
  if (root.proc != "/proc") return root.own_figures;
  std::vector<Fact> facts;
  add_totals(facts);
  add_foreign(facts, root);
  return facts;
}

bool committed_follows(const SystemRoot& root) {
  constexpr size_t kBytes = 64 << 20;
  const auto before = committed_now(root);
  void* room = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const auto after = committed_now(root);
  if (room != MAP_FAILED) munmap(room, kBytes);
  return before && after && *before != *after;
}

}  // namespace ovc
