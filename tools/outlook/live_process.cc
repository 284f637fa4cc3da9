// SPDX-License-Identifier: MIT
//
// See live_process.h. Order matters: mappings first, then total_vm and Committed_AS, so that the
// figures which change fastest are the youngest; last of all the question whether it is still the
// same process.
#include "tools/outlook/live_process.h"

#include <fmt/format.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>

#include "tools/host/selinux_policy.h"
#include "tools/log/kernel_numbers.h"
#include "tools/outlook/live_setting.h"

namespace ovc {
namespace {

using ovcshim::Fact;
using ovcshim::FactKey;
using ovcshim::SecurityModule;

constexpr uint64_t kIdentityMap[] = {
    0, 0, 4294967295};  // uid_map of the initial user namespace: inside, outside, count

// What a fork asks for: mm/util.c __vm_enough_memory(), kernel/fork.c copy_process().
struct AskedCapability {
  unsigned number;
  const char* name;  // of the policy's class capability
};
constexpr AskedCapability kAskedByFork[] = {{21, "sys_admin"}, {24, "sys_resource"}};

// What /proc/PID/stat says: "pid (comm) S ppid ... starttime". comm may contain anything, so count
// from the last ')'.
struct Stat {
  char state = '?';
  uint64_t start_ticks = 0;
};

std::optional<Stat> read_stat(const std::string& folder) {
  const auto text = read_small(folder + "/stat");
  const size_t close = text ? text->rfind(')') : std::string::npos;
  if (close == std::string::npos || close + 2 >= text->size()) return std::nullopt;
  Stat stat{(*text)[close + 2], 0};
  std::string_view rest = std::string_view(*text).substr(close + 2);
  for (int field = 3; field < 22 && !rest.empty(); ++field)
    rest.remove_prefix(std::min(rest.find(' '), rest.size() - 1) + 1);
  stat.start_ticks = first_number(rest).value_or(0);
  return stat;
}

class Reader {
 public:
  Reader(const LiveHost& host, uint32_t pid, Depth depth)
      : host_(host), folder_(fmt::format("{}/{}", host.root().proc, pid)), depth_(depth) {
    process_.pid = pid;
    process_.wanted = depth;
    process_.fork.event.base.op = Op::kFork;
    process_.fork.event.base.pid = pid;
  }

  LiveProcess read() {
    const auto before = read_stat(folder_);
    if (!before || !read_status()) return gone();
    if (before->state == 'Z' || before->state == 'X') return ended(ReadState::kZombie);
    if (!has_memory_) return ended(ReadState::kKernel);
    process_.state = ReadState::kRead;
    read_limits();
    read_namespaces();
    read_security();
    process_.groups = read_group_limits(host_.root(), process_.pid);
    read_mappings();
    process_.fork.setting = live_setting(host_.root(), process_.pid, process_.sums);
    finish_facts();
    const auto after = read_stat(folder_);
    if (!after || after->start_ticks != before->start_ticks || after->state == 'Z' ||
        after->state == 'X')
      return gone();
    return std::move(process_);
  }

 private:
  LiveProcess gone() {
    process_.reason = "it has exited";
    return ended(ReadState::kGone);
  }
  LiveProcess ended(ReadState state) {
    process_.state = state;
    return std::move(process_);
  }

  void add(FactKey key, std::optional<uint64_t> value) {
    if (value) facts_.push_back({static_cast<uint32_t>(key), 0, *value});
  }

  bool read_status() {
    const auto status = read_small(folder_ + "/status");
    if (!status) return false;
    process_.comm = comm_of(host_, process_.pid).value_or("");
    process_.fork.comm = process_.comm;
    has_memory_ = line_after(*status, "VmSize:").has_value();
    add(FactKey::kUid, number_after(*status, "Uid:"));
    add(FactKey::kThreads, number_after(*status, "Threads:"));
    add(FactKey::kSeccomp, number_after(*status, "Seccomp:"));
    process_.page_tables_kb = number_after(*status, "VmPTE:");
    process_.anonymous_kb = number_after(*status, "RssAnon:");
    process_.swapped_kb = number_after(*status, "VmSwap:");
    if (const auto thp = number_after(*status, "THP_enabled:")) process_.thp_allowed = *thp == 1;
    const auto caps = line_after(*status, "CapEff:");
    uint64_t mask = 0;
    if (caps &&
        std::from_chars(caps->data(), caps->data() + caps->size(), mask, 16).ec == std::errc{})
      effective_ = mask;
    return true;
  }

  // A capability that the loaded policy keeps from being used is as good as not held. Where it does
  // not say so, the module stays a fact: what it may deny is then not known.
  void read_security() {
    const auto label = security_label(host_.root(), process_.pid);
    const auto module = label ? label->module : SecurityModule::kNone;
    const bool in_force = module == SecurityModule::kSelinuxEnforcing;
    bool known = in_force;
    if (in_force || module == SecurityModule::kSelinux) process_.label = label->text;
    for (const auto& [capability, name] : kAskedByFork) {
      if (!in_force || !effective_ || !(*effective_ >> capability & 1)) continue;
      const auto may = policy_allows("capability", name);
      known = known && may.has_value();
      if (may == false) *effective_ &= ~(uint64_t{1} << capability);
    }
    add(FactKey::kCapEff, effective_);
    if (label && !known) add(FactKey::kSecurityModule, static_cast<uint64_t>(module));
    process_.denied_children = false;
    if (process_.label.empty()) return;
    const auto may_fork = policy_allows("process", "fork");
    if (may_fork != true) process_.denied_children.reset();
    if (may_fork == false && in_force) process_.denied_children = true;
  }
  std::optional<bool> policy_allows(const std::string& object_class,
                                    const std::string& permission) const {
    return selinux_allows(host_.root(), process_.label, object_class, permission);
  }

  // "Max processes             100   200   processes": the soft limit.
  void read_limits() {
    const auto limits = read_small(folder_ + "/limits");
    if (limits) add(FactKey::kRlimitNproc, number_after(*limits, "Max processes"));
  }

  void read_namespaces() {
    if (const auto user = namespace_inode(folder_ + "/ns/user"))
      add(FactKey::kUserNsIdentity, *user == kInitialUserNs);
    else if (const auto map = read_small(folder_ + "/uid_map"))
      add(FactKey::kUserNsIdentity, is_identity(*map));
    const auto own = namespace_inode(folder_ + "/ns/pid");
    int error = 0;
    const auto children = namespace_inode(folder_ + "/ns/pid_for_children", &error);
    add(FactKey::kPidNs, own);
    add(FactKey::kPidForChildrenNs, children);
    if (own && children)
      process_.pidns_alive = *own == *children ? std::optional(true) : has_init(*children);
    if (own && !children && error == ENOENT)
      process_.pidns_alive = true;  // made, and the first child becomes its init
  }

  static bool is_identity(std::string_view map) {
    for (const uint64_t wanted : kIdentityMap) {
      const auto value = first_number(map);
      if (value != wanted) return false;
      map.remove_prefix(std::min(map.find_first_of("0123456789"), map.size()));
      map.remove_prefix(std::min(map.find_first_not_of("0123456789"), map.size()));
    }
    return true;
  }

  // Has a pid namespace a first process that lives? Its number there, the last in NSpid, is 1. A
  // process's children can go only into its own namespace or one below it (kernel/pid_namespace.c
  // pidns_install()), so all of ours is all there is to see.
  std::optional<bool> has_init(uint64_t inode) const {
    bool all_seen = host_.census().whole_namespace;
    for (const uint32_t pid : host_.pids()) {
      const std::string folder = fmt::format("{}/{}", host_.root().proc, pid);
      const auto status = read_small(folder + "/status");
      const auto numbers = status ? line_after(*status, "NSpid:") : std::nullopt;
      if (!numbers || !numbers->ends_with("\t1")) continue;
      const auto stat = read_stat(folder);
      if (!stat || stat->state == 'Z' || stat->state == 'X') continue;
      const auto its = namespace_inode(folder + "/ns/pid");
      if (its == inode) return true;
      if (!its) all_seen = false;
    }
    return all_seen ? std::optional(false) : std::nullopt;
  }

  void read_mappings() {
    const auto begin = std::chrono::steady_clock::now();
    auto& mappings = process_.fork.mappings;
    const bool exact = depth_ == Depth::kExact;
    bool flags_known = true;
    const int error = for_each_mapping(
        folder_ + (exact ? "/smaps" : "/maps"), [&](const auto& mapping, std::string_view name) {
          process_.sums.add(mapping, name);
          flags_known = flags_known && (mapping.flags & ovcshim::kMapFlagsKnown);
          if (exact) mappings.push_back(mapping);
        });
    process_.read_ns = std::chrono::nanoseconds(std::chrono::steady_clock::now() - begin).count();
    process_.listed = error == 0 && process_.sums.mappings != 0;
    process_.fork.mappings_complete = exact && process_.listed && flags_known;
    if (process_.fork.mappings_complete || (!exact && process_.listed)) return;
    process_.state = ReadState::kForbidden;
    process_.reason = reason_of(error, exact);
  }

  std::string reason_of(int error, bool exact) const {
    const char* file = exact ? "smaps" : "maps";
    if (error == EACCES || error == EPERM) return fmt::format("no permission to read its {}", file);
    if (error != 0) return fmt::format("cannot read {}: {}", file, strerror(error));
    return process_.sums.mappings == 0 ? fmt::format("{} is empty", file)
                                       : "smaps has no VmFlags on this kernel";
  }

  void finish_facts() {
    const auto pages = number_in(folder_ + "/statm");
    if (pages) add(FactKey::kVmSizeKb, *pages * host_.fixed().page_kb);
    for (const Fact& fact : host_.facts()) facts_.push_back(fact);
    Evidence& fork = process_.fork;
    fork.rules = with_facts(host_.fixed(), facts_);
    fork.snapshot.emplace();
    fork.snapshot->facts = facts_;
    fork.event.base.before = {0,
                              ovcshim::kUnknown,
                              ovcshim::kUnknown,
                              pages.value_or(ovcshim::kUnknown),
                              ovcshim::kUnknown,
                              ovcshim::kUnknown};
    const auto uid = fork.fact(FactKey::kUid), limit = fork.fact(FactKey::kRlimitNproc);
    if (!uid || !limit || *limit == ovcshim::kInfinite) return;
    const TaskCensus& census = host_.census();
    const auto found = census.tasks_of_user.find(*uid);
    if (found != census.tasks_of_user.end()) process_.user_tasks = found->second;
    process_.user_tasks_complete = census.complete;
  }

  const LiveHost& host_;
  std::string folder_;
  Depth depth_;
  bool has_memory_ = false;
  std::optional<uint64_t> effective_;  // capabilities
  std::vector<Fact> facts_;
  LiveProcess process_;
};

}  // namespace

LiveProcess read_process(const LiveHost& host, uint32_t pid, Depth depth) {
  return Reader(host, pid, depth).read();
}

std::optional<std::string> comm_of(const LiveHost& host, uint32_t pid) {
  auto comm = read_small(fmt::format("{}/{}/comm", host.root().proc, pid));
  if (comm && comm->ends_with('\n')) comm->pop_back();
  return comm;
}

}  // namespace ovc
