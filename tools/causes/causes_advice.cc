// SPDX-License-Identifier: MIT
//
// What to do about a finding, as a table: for each cause from the least invasive (this service
// only) to the most invasive (the whole host). A row whose figures are not known is left out.
#include <map>

#include "tools/causes/causes_detail.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

struct AdviceRow {
  std::string_view cause;
  bool (*applies)(const Evidence&, const Finding&);
  std::string_view text;  // {name} stands for a figure of advice_figures()
};

bool always(const Evidence&, const Finding&) { return true; }
bool is_fork(const Evidence& evidence, const Finding&) { return copies_memory(evidence.event); }
bool is_redis_fork(const Evidence& evidence, const Finding&) {
  return copies_memory(evidence.event) && is_redis(evidence.comm);
}
bool is_mmap(const Evidence& evidence, const Finding&) {
  return evidence.event.base.op == Op::kMmap;
}
bool is_server(const Evidence& evidence, const Finding&) { return is_redis(evidence.comm); }
bool by_ratio(const Evidence& evidence, const Finding&) {
  return evidence.rules.overcommit_kbytes == 0;
}
bool by_kbytes(const Evidence& evidence, const Finding&) {
  return evidence.rules.overcommit_kbytes.value_or(0) != 0;
}
bool mode0_passes(const Evidence&, const Finding& finding) {
  return finding.would_pass && finding.would_pass->mode0 == true;
}
bool killer_off(const Evidence& evidence, const Finding&) {
  return evidence.fact(ovcshim::FactKey::kMemcgOomKillDisable) == 1;
}
bool in_mode2(const Evidence& evidence, const Finding&) {
  return is_redis(evidence.comm) && evidence.rules.mode == kModeNever;
}

// clang-format off
constexpr AdviceRow kAdvice[] = {
    {"commit-limit", is_redis_fork,
     "this service only: {half_mib} MiB less data (maxmemory); it counts twice, in Committed_AS and again at the fork"},
    {"commit-limit", always, "see who was promised the rest of Committed_AS: ovc check --all"},
    {"commit-limit", always, "{swap_mib} MiB more swap: CommitLimit grows by as much, and nothing else changes"},
    {"commit-limit", by_ratio, "for the whole host: vm.overcommit_ratio = {ratio} (now {ratio_now})"},
    {"commit-limit", by_kbytes, "for the whole host: vm.overcommit_kbytes = {kbytes} (now {kbytes_now})"},
    {"commit-limit", mode0_passes, "for the whole host: vm.overcommit_memory = 0; only single requests larger than RAM and swap are refused then"},
    {"commit-limit", is_server,
     "the server's start-up warning asks for vm.overcommit_memory = 1: that would help too, but lifts every check for the whole host"},
    {"single-request-over-ram-and-swap", is_redis_fork,
     "this service only: run it with jemalloc 4.2 or newer, which maps its heap MAP_NORESERVE under modes 0 and 1: a fork is not charged for it"},
    {"single-request-over-ram-and-swap", is_fork,
     "in the program: keep the mapping out of the child with madvise(MADV_DONTFORK), or map it with MAP_NORESERVE"},
    {"single-request-over-ram-and-swap", is_mmap, "in the program: MAP_NORESERVE, if the whole of it is never touched at once"},
    {"single-request-over-ram-and-swap", always, "{swap0_mib} MiB more swap"},
    {"single-request-over-ram-and-swap", always, "for the whole host: vm.overcommit_memory = 1"},
    {"rlimit-as", always, "this service only: raise RLIMIT_AS by {short_mib} MiB (systemd LimitAS=, shell ulimit -v)"},
    {"rlimit-data", always, "this service only: raise RLIMIT_DATA by {short_mib} MiB (systemd LimitDATA=, shell ulimit -d)"},
    {"rlimit-memlock", always, "this service only: raise RLIMIT_MEMLOCK by {short_mib} MiB (systemd LimitMEMLOCK=, shell ulimit -l)"},
    {"max-map-count", in_mode2,
     "start the server under vm.overcommit_memory = 0 or 1: under mode 2 its allocator gives memory back mapping by mapping, which splits them"},
    {"max-map-count", always, "for the whole host: a larger vm.max_map_count"},
    {"huge-page-pool", always, "nothing where the program goes on with ordinary pages, as PostgreSQL does by default (huge_pages = try)"},
    {"huge-page-pool", always, "for the whole host: a larger vm.nr_hugepages; that memory is then good for huge pages only"},
    {"address-space", always, "in the program: a smaller request; no setting makes room"},
    {"memcg", killer_off, "this service only: switch its OOM killer on again (memory.oom_control)"},
    {"memcg", always, "this service only: a higher memory limit (systemd MemoryMax=, docker --memory)"},
    {"pids-max", always, "this service only: a higher task limit (systemd TasksMax=, docker --pids-limit), also in the groups above it"},
    {"rlimit-nproc", always, "this service only: a user of its own; the limit counts all tasks of the user"},
    {"rlimit-nproc", always, "this service only: a higher RLIMIT_NPROC (systemd LimitNPROC=, shell ulimit -u)"},
    {"threads-max", always, "for the whole host: a larger kernel.threads-max, after looking for what has so many threads"},
    {"pid-max", always, "for the whole host: a larger kernel.pid_max, after looking for zombies"},
    {"pidns-init-dead", always, "start the namespace with an init that stays (docker --init, unshare --fork); this process cannot fork any more"},
    {"shmmax", always, "for the IPC namespace: a larger kernel.shmmax (docker --sysctl kernel.shmmax=, sysctl on the host)"},
    {"shmall", always, "look for segments that nobody uses any more: ipcs -m -p, ipcrm"},
    {"shmall", always, "for the IPC namespace: a larger kernel.shmall (in pages)"},
    {"shmmni", always, "look for segments that nobody uses any more: ipcs -m -p, ipcrm"},
    {"shmmni", always, "for the IPC namespace: a larger kernel.shmmni"},
    {"no-space", always, "this service only: a larger filesystem there (docker --shm-size, Kubernetes emptyDir medium: Memory with sizeLimit, mount -o remount,size=)"},
    {"injected", always, "unset OVCSHIM_INJECT for a real run"},
    {"rehearsed", always, "unset OVCSHIM_REHEARSE for a real run"},
};
// clang-format on

using Figures = std::map<std::string_view, uint64_t>;

void put(Figures& figures, std::string_view name, std::optional<uint64_t> value) {
  if (value) figures[name] = *value;
}

// More of the process is accountable than MAP_NORESERVE: less data is a smaller charge.
bool data_is_charged(const Evidence& evidence) {
  if (!evidence.mappings_complete) return false;
  uint64_t charged = 0, noreserve = 0;
  for (const auto& mapping : evidence.mappings) {
    if (mapping.flags & ovcshim::kMapAc) charged += mapping.end - mapping.start;
    if (mapping.flags & ovcshim::kMapNr) noreserve += mapping.end - mapping.start;
  }
  return noreserve < charged;
}

Figures advice_figures(const Evidence& evidence, const Finding& finding) {
  Figures figures;
  if (finding.short_by && finding.short_unit == "kB" && *finding.short_by > 0)
    figures["short_mib"] = (static_cast<uint64_t>(*finding.short_by) + 1023) / 1024;
  if (data_is_charged(evidence) && figures.contains("short_mib"))
    figures["half_mib"] = (figures["short_mib"] + 1) / 2;
  put(figures, "ratio_now", evidence.rules.ratio);
  put(figures, "kbytes_now", evidence.rules.overcommit_kbytes);
  if (!finding.would_pass) return figures;
  put(figures, "ratio", finding.would_pass->mode2_with.ratio);
  put(figures, "kbytes", finding.would_pass->mode2_with.overcommit_kbytes);
  put(figures, "swap_mib", finding.would_pass->mode2_with.more_swap_mib);
  put(figures, "swap0_mib", finding.would_pass->mode0_more_swap_mib);
  return figures;
}

// Replaces each {name}; nullopt if a figure is not known.
std::optional<std::string> fill_in(std::string_view text, const Figures& figures) {
  std::string filled;
  for (size_t open = text.find('{'); open != text.npos; open = text.find('{')) {
    const size_t close = text.find('}', open);
    const auto figure = figures.find(text.substr(open + 1, close - open - 1));
    if (figure == figures.end()) return std::nullopt;
    filled += text.substr(0, open);
    filled += grouped(figure->second);
    text.remove_prefix(close + 1);
  }
  return filled.append(text);
}

bool depends_on_overcommit(std::string_view cause) {
  constexpr std::string_view kNot[] = {"unknown", "injected", "rehearsed", "bad-argument"};
  for (const auto id : kNot)
    if (cause == id) return true;
  return cause == "commit-limit" || cause == "single-request-over-ram-and-swap";
}

}  // namespace

void advise(const Evidence& evidence, Finding& finding) {
  const Figures figures = advice_figures(evidence, finding);
  for (const auto& row : kAdvice) {
    if (row.cause != finding.cause || !row.applies(evidence, finding)) continue;
    if (auto text = fill_in(row.text, figures)) finding.advice.push_back(std::move(*text));
  }
  if (is_redis(evidence.comm) && !depends_on_overcommit(finding.cause))
    finding.advice.emplace_back(
        "the server's start-up warning about vm.overcommit_memory does not apply here: no value of "
        "it changes this");
}

}  // namespace ovc
