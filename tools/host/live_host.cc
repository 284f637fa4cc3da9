// SPDX-License-Identifier: MIT
//
// See live_host.h. Which figure stands in which file is a table.
#include "tools/host/live_host.h"

#include "shim/format/meminfo_lines.h"
#include "tools/host/guess_probe.h"
#include "tools/host/own_figures.h"
#include "tools/log/kernel_numbers.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

namespace ovc {
namespace {

using ovcshim::Fact;
using ovcshim::FactKey;

struct SettingRow {
  std::string_view file;  // below /proc/sys
  FactKey fact;
};
constexpr SettingRow kSettings[] = {
    {"vm/overcommit_memory", FactKey::kOvercommitMemory},
    {"vm/overcommit_ratio", FactKey::kOvercommitRatio},
    {"vm/overcommit_kbytes", FactKey::kOvercommitKbytes},
    {"vm/user_reserve_kbytes", FactKey::kUserReserveKb},
    {"vm/admin_reserve_kbytes", FactKey::kAdminReserveKb},
    {"kernel/threads-max", FactKey::kThreadsMax},
    {"kernel/pid_max", FactKey::kPidMax},
};

// "0.12 0.20 0.18 2/345 6789": the number after the slash.
std::optional<uint64_t> tasks_total(const std::string& loadavg) {
  const size_t slash = loadavg.find('/');
  return slash == loadavg.npos ? std::nullopt
                               : first_number(std::string_view(loadavg).substr(slash + 1));
}

uint64_t cpus_online(const SystemRoot& root) {
  uint64_t cpus = 0;
  for_each_line(root.proc + "/stat", [&](std::string_view line) {
    cpus += line.size() > 3 && line.starts_with("cpu") && line[3] >= '0' && line[3] <= '9';
  });
  return cpus;
}

std::optional<uint64_t> fact_of(const std::vector<Fact>& facts, FactKey key) {
  for (const Fact& fact : facts)
    if (fact.key == static_cast<uint32_t>(key)) return fact.value;
  return std::nullopt;
}

// Where somebody else's /proc/stat shows less of them.
uint64_t cpus_possible() {
  const auto text = read_small("/sys/devices/system/cpu/present");
  const size_t dash = text ? text->find('-') : std::string::npos;
  if (!text) return 0;
  return dash == std::string::npos
             ? 1
             : first_number(std::string_view(*text).substr(dash + 1)).value_or(0) + 1;
}

// All pools of huge pages. The line Hugetlb: is missing before 4.19, and all of them where the
// kernel has no huge pages.
std::optional<uint64_t> hugetlb_kb(std::string_view meminfo, const SystemRoot& root) {
  if (const auto kb = number_after(meminfo, "Hugetlb:")) return kb;
  if (!line_after(meminfo, "HugePages_Total:")) return 0;
  uint64_t sum_kb = 0;
  std::error_code error;
  for (const auto& pool :
       std::filesystem::directory_iterator(root.files + "/sys/kernel/mm/hugepages", error)) {
    const std::string name = pool.path().filename();  // hugepages-2048kB
    const auto page_kb =
        first_number(std::string_view(name).substr(std::min(name.find('-'), name.size() - 1) + 1));
    const auto pages = number_in(pool.path().string() + "/nr_hugepages");
    if (!page_kb || !pages) return std::nullopt;
    sum_kb += *page_kb * *pages;
  }
  return error ? std::nullopt : std::optional(sum_kb);
}

bool hides_processes(const SystemRoot& root) {
  bool hides = false;
  for_each_line(root.proc + "/self/mountinfo", [&](std::string_view line) {
    const size_t option = line.find("hidepid=");
    if (line.find(" /proc ") == line.npos || option == line.npos) return;
    const std::string_view value = line.substr(option + 8);
    hides = !value.starts_with("0") && !value.starts_with("off");
  });
  return hides;
}

}  // namespace

LiveHost::LiveHost(SystemRoot root) : root_(std::move(root)) {
  const std::string release = read_small(root_.proc + "/sys/kernel/osrelease").value_or("");
  fixed_.kernel = parse_kernel_release(release);
  fixed_.vendor_kernel = release.find(".el") != release.npos;
  fixed_.page_kb = static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) / 1024;
  fixed_.cpus = cpus_online(root_);
  const auto foreign = fact_of(own_figures(root_), FactKey::kForeignFiles).value_or(0);
  if (foreign & ovcshim::kFileStat) fixed_.cpus = cpus_possible();
  if (foreign & ovcshim::kFileMeminfo) fixed_.committed_lives = committed_follows(root_);
  if (guess_is_simple(fixed_) || root_.proc != "/proc") return;
  const HostRules now = rules();
  if (now.mode == kModeGuess && now.ram_kb && now.swap_kb)
    fixed_.simple_guess_probed = probe_simple_guess(*now.ram_kb + *now.swap_kb);
}

std::vector<Fact> LiveHost::facts() const {
  std::vector<Fact> facts;
  const auto add = [&facts](FactKey key, std::optional<uint64_t> value) {
    if (value) facts.push_back({static_cast<uint32_t>(key), 0, *value});
  };
  for (const SettingRow& row : kSettings)
    add(row.fact, number_in(root_.proc + "/sys/" + std::string(row.file)));
  add(FactKey::kTasksTotal, tasks_total(read_small(root_.proc + "/loadavg").value_or("")));
  for (const Fact& fact : own_figures(root_)) facts.push_back(fact);
  const std::string meminfo = read_small(root_.proc + "/meminfo").value_or("");
  for (const ovcshim::MeminfoLine& row : ovcshim::kMeminfoLines)
    add(row.key, row.key == FactKey::kHugetlbKb ? hugetlb_kb(meminfo, root_)
                                                : number_after(meminfo, row.name));
  return facts;
}

std::vector<uint32_t> LiveHost::pids() const {
  std::vector<uint32_t> pids;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(root_.proc, error)) {
    const std::string name = entry.path().filename();
    uint32_t pid = 0;
    const auto [end, code] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (code == std::errc{} && end == name.data() + name.size()) pids.push_back(pid);
  }
  std::sort(pids.begin(), pids.end());
  return pids;
}

const TaskCensus& LiveHost::census() const {
  if (census_) return *census_;
  census_.emplace();
  for (const uint32_t pid : pids()) {
    const std::string status =
        read_small(root_.proc + "/" + std::to_string(pid) + "/status").value_or("");
    const uint64_t uid = number_after(status, "Uid:").value_or(ovcshim::kUnknown);
    if (uid != ovcshim::kUnknown)
      census_->tasks_of_user[uid] += number_after(status, "Threads:").value_or(0);
  }
  census_->whole_namespace = !hides_processes(root_);
  census_->complete =
      census_->whole_namespace && namespace_inode(root_.proc + "/self/ns/pid") == kInitialPidNs;
  return *census_;
}

}  // namespace ovc
