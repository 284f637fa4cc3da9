// SPDX-License-Identifier: MIT
//
// What to do about a finding, as two tables: for each cause from the least invasive (this service
// only) to the most invasive (the whole host), and for each service in its own words. A row whose
// figures are not known, or that the recorded facts do not support, is left out.
#include <algorithm>
#include <map>
#include <utility>

#include "tools/causes/causes_detail.h"
#include "tools/causes/errno_rows.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

struct AdviceRow {
  std::string_view cause;
  bool (*applies)(const Evidence&, const Finding&);
  // {name} stands for a figure of advice_figures(), {at:KIND} for where the limit is set
  std::string_view text;
};
constexpr std::string_view kWholeHost = "for the whole host: ";

bool always(const Evidence&, const Finding&) { return true; }
bool is_fork(const Evidence& evidence, const Finding&) { return copies_memory(evidence.event); }
bool is_redis_fork(const Evidence& evidence, const Finding&) {
  return copies_memory(evidence.event) && is_redis(evidence.comm);
}
bool redis_without_jemalloc(const Evidence& evidence, const Finding& finding) {
  return is_redis_fork(evidence, finding) && evidence.setting.jemalloc != true;
}
bool is_mmap(const Evidence& evidence, const Finding&) {
  return evidence.event.base.op == Op::kMmap;
}
bool beyond_machine(const Evidence&, const Finding& finding) {
  return finding.would_pass && finding.would_pass->mode0 == false &&
         !finding.would_pass->mode0_more_swap_mib;
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
bool selinux_in_force(const Evidence& evidence, const Finding&) {
  return causes::is_selinux(evidence);
}
bool apparmor_in_force(const Evidence& evidence, const Finding&) {
  const bool restricted = evidence.fact(ovcshim::FactKey::kUsernsRestricted).value_or(0) != 0;
  return restricted || evidence.fact(ovcshim::FactKey::kSecurityModule) ==
                           static_cast<uint64_t>(ovcshim::SecurityModule::kAppArmorConfined);
}
bool is_service(const Evidence& evidence, Service service) {
  return service_of(evidence.setting, evidence.comm) == service;
}
template <Service service>
bool forks_in(const Evidence& evidence, const Finding&) {
  return copies_memory(evidence.event) && is_service(evidence, service);
}
template <Service service>
bool makes_task_in(const Evidence& evidence, const Finding&) {
  return is_fork_op(evidence.event.base.op) && is_service(evidence, service);
}
template <Service service>
bool asks_memory_in(const Evidence& evidence, const Finding&) {
  const Op op = evidence.event.base.op;
  return (is_memory_op(op) || is_malloc_op(op)) && is_service(evidence, service);
}
bool is_postgres(const Evidence& evidence, const Finding&) {
  return is_service(evidence, Service::kPostgres);
}
// jemalloc asks for the mode when it is loaded: under 2 it gives memory back by mapping it anew.
bool jemalloc_in_mode2(const Evidence& evidence, const Finding&) {
  const auto mode = evidence.setting.mode_then ? evidence.setting.mode_then : evidence.rules.mode;
  return evidence.setting.jemalloc == true && mode == kModeNever;
}
bool other_allocator(const Evidence& evidence, const Finding& finding) {
  return !jemalloc_in_mode2(evidence, finding);
}
bool only_runs_program(const Evidence& evidence, const Finding&) {
  return copies_memory(evidence.event) && evidence.setting.runs_program;
}
bool ran_programs(const Evidence& evidence, const Finding&) {
  return copies_memory(evidence.event) && !evidence.setting.runs_program &&
         evidence.setting.ran_programs != 0;
}
bool in_unit(const Evidence& evidence, const Finding&) {
  return place_of(evidence.setting) == Place::kUnit;
}
bool no_amount(const Evidence&, const Finding& finding) { return !finding.short_by; }
bool more_stack(const Evidence& evidence, const Finding&) {
  return causes::larger_stack_helps(evidence);
}
bool in_no_unit(const Evidence& evidence, const Finding& finding) {
  return !in_unit(evidence, finding);
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
    {"single-request-over-ram-and-swap", redis_without_jemalloc,
     "this service only: run it with jemalloc 4.2 or newer, which maps its heap MAP_NORESERVE under modes 0 and 1: a fork is not charged for it"},
    {"single-request-over-ram-and-swap", is_fork,
     "in the program: keep the mapping out of the child with madvise(MADV_DONTFORK), or map it with MAP_NORESERVE"},
    {"single-request-over-ram-and-swap", is_mmap, "in the program: MAP_NORESERVE, if the whole of it is never touched at once"},
    {"single-request-over-ram-and-swap", always, "{swap0_mib} MiB more swap"},
    {"single-request-over-ram-and-swap", beyond_machine, "in the program: a smaller request; this one is beyond any swap that such a machine can have"},
    {"single-request-over-ram-and-swap", always, "for the whole host: vm.overcommit_memory = 1"},
    {"rlimit-as", always, "this service only: raise RLIMIT_AS by {short_mib} MiB{at:as}"},
    {"rlimit-data", always, "this service only: raise RLIMIT_DATA by {short_mib} MiB{at:data}"},
    {"rlimit-memlock", always, "this service only: raise RLIMIT_MEMLOCK by {short_mib} MiB{at:memlock}"},
    {"rlimit-memlock", no_amount, "this service only: a higher RLIMIT_MEMLOCK{at:memlock}"},
    {"max-map-count", jemalloc_in_mode2,
     "start it under vm.overcommit_memory = 0 or 1: its allocator, jemalloc, gives memory back mapping by mapping under mode 2, which splits them without end"},
    {"max-map-count", other_allocator, "for the whole host: a larger vm.max_map_count"},
    {"huge-page-pool", is_postgres, "nothing if huge_pages = try (its default): it goes on with ordinary pages"},
    {"huge-page-group", always, "this service only: a higher limit of its control group (hugetlb.*.rsvd.max, in the groups above it too)"},
    {"huge-page-pool", always, "for the whole host: a larger vm.nr_hugepages; that memory is then good for huge pages only"},
    {"address-space", always, "in the program: a smaller request; no setting makes room"},
    {"memcg", killer_off, "this service only: switch its OOM killer on again (memory.oom_control)"},
    {"memcg", always, "this service only: a higher memory limit of its control group{at:memory}"},
    {"pids-max", always, "this service only: a higher task limit of its control group{at:tasks}, also of the groups above it"},
    {"rlimit-nproc", always, "this service only: a user of its own; the limit counts all tasks of the user"},
    {"rlimit-nproc", always, "this service only: a higher RLIMIT_NPROC{at:nproc}"},
    {"threads-max", always, "for the whole host: a larger kernel.threads-max, after looking for what has so many threads"},
    {"pid-max", always, "for the whole host: a larger kernel.pid_max, after looking for zombies"},
    {"memory-deny-write-execute", in_unit, "this service only: allow it{at:mdwe}; programs that make code at run time (JIT) need it"},
    {"memory-deny-write-execute", in_no_unit, "start it without prctl(PR_SET_MDWE); programs that make code at run time (JIT) need it"},
    {"memory-deny-write-execute", always, "in the program: switch off its JIT, if it has such an option"},
    {"security-module", selinux_in_force, "look at the denial: ausearch -m AVC -ts recent; allow it with a boolean or a policy module (audit2allow)"},
    {"security-module", apparmor_in_force, "look at the denial: journalctl -k --grep apparmor; give the program a profile that allows it"},
    {"seccomp", always, "change the filter{at:seccomp}; strace shows the call that it refuses"},
    {"namespace-limit", always, "for the whole host: a larger user.max_*_namespaces (RHEL 7 begins with 0 user namespaces)"},
    {"shm-limit", always, "for the whole host: a larger kernel.shmmax, kernel.shmall or kernel.shmmni{at:sysctl}"},
    {"file-system-full", always, "more room where the file lies; for /dev/shm: a larger size= of its mount{at:shm}"},
    {"argument-list-too-long", more_stack, "this service only: a higher RLIMIT_STACK (ulimit -s): a quarter of it, at most 6 MiB, is for arguments and environment"},
    {"argument-list-too-long", always, "in the program: pass fewer or shorter arguments, or through a file"},
    {"rlimit-nofile", always, "this service only: a higher RLIMIT_NOFILE{at:nofile}"},
    {"pidns-init-dead", always, "start the namespace with an init that stays{at:init}; this process cannot fork any more"},
    {"injected", always, "unset OVCSHIM_INJECT for a real run"},
    {"rehearsed", always, "unset OVCSHIM_REHEARSE for a real run"},
};

// What is done in the service itself, in its own words, whatever limit it was: between the advice
// for it alone and the one for the whole host.
constexpr std::string_view kCommitted = "commit-limit|single-request-over-ram-and-swap",
                           kMemory = "commit-limit|single-request-over-ram-and-swap|rlimit-as|rlimit-data|memcg",
                           kTasks = "pids-max|rlimit-nproc|threads-max|pid-max",
                           kForks = "commit-limit|single-request-over-ram-and-swap|memcg|pids-max|rlimit-nproc|threads-max|pid-max";
constexpr AdviceRow kOwnWords[] = {
    {kCommitted, only_runs_program, "in the program: start programs with posix_spawn or vfork: they copy no memory and are not charged"},
    {kCommitted, ran_programs,
     "in the program: start programs with posix_spawn or vfork, which are not charged (so far its forks from here, {ran_programs} of them, all ran one)"},
    {kForks, forks_in<Service::kRedis>, "saves fork, so do BGREWRITEAOF and replicas that synchronise, with repl-diskless-sync too; only appending to the AOF (appendonly yes) does not"},
    {kForks, forks_in<Service::kRedis>, "until then: CONFIG SET stop-writes-on-bgsave-error no keeps it taking writes, which are not saved"},
    {kForks, makes_task_in<Service::kPostgres>, "fewer connections: each is a fork of the postmaster (max_connections, or a pooler in front)"},
    {"commit-limit", forks_in<Service::kPostgres>, "a smaller shared_buffers: {shared_mib} MiB of Committed_AS is its shared memory"},
    {kMemory, asks_memory_in<Service::kPostgres>, "a smaller work_mem: each sort or hash of each of max_connections may take as much"},
    {kCommitted, forks_in<Service::kJava>, "-Djdk.lang.Process.launchMechanism=POSIX_SPAWN (the default since Java 12): it starts programs without a fork"},
    {kMemory, asks_memory_in<Service::kJava>, "a smaller heap: -Xmx; what it reserves besides: -XX:ReservedCodeCacheSize, -XX:CompressedClassSpaceSize"},
    {kTasks, makes_task_in<Service::kJava>, "fewer threads: each Java thread is a task (sizes of its thread pools)"},
    {"rlimit-as", asks_memory_in<Service::kNode>, "no RLIMIT_AS for node: V8 reserves address space that it never uses; --max-old-space-size and a memory group bound it"},
    {kMemory, asks_memory_in<Service::kNode>, "a smaller heap: --max-old-space-size=MIB"},
    {kForks, makes_task_in<Service::kPhpFpm>, "a smaller pm.max_children: each child is a task and a fork"},
    {kMemory, asks_memory_in<Service::kPhpFpm>, "memory_limit x pm.max_children is what its children may take: lower one of them"},
};
// clang-format on

bool is_among(std::string_view causes, std::string_view cause) {
  for (size_t bar; !causes.empty(); causes.remove_prefix(std::min(bar + 1, causes.size())))
    if (causes.substr(0, bar = std::min(causes.find('|'), causes.size())) == cause) return true;
  return false;
}

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

// Memory shared with its children: charged once, when it was made.
std::optional<uint64_t> shared_mib(const Evidence& evidence) {
  uint64_t bytes = 0;
  for (const auto& mapping : evidence.mappings)
    if ((mapping.flags & ovcshim::kMapShared) && (mapping.flags & ovcshim::kMapWrite) &&
        !(mapping.flags & ovcshim::kMapHt))
      bytes += mapping.end - mapping.start;
  return evidence.mappings_complete && bytes >> 20 ? std::optional(bytes >> 20) : std::nullopt;
}

Figures advice_figures(const Evidence& evidence, const Finding& finding) {
  Figures figures;
  if (finding.short_by && finding.short_unit == "kB" && *finding.short_by > 0)
    figures["short_mib"] = (static_cast<uint64_t>(*finding.short_by) + 1023) / 1024;
  if (data_is_charged(evidence) && figures.contains("short_mib"))
    figures["half_mib"] = (figures["short_mib"] + 1) / 2;
  put(figures, "ratio_now", evidence.rules.ratio);
  put(figures, "kbytes_now", evidence.rules.overcommit_kbytes);
  put(figures, "shared_mib", shared_mib(evidence));
  figures["ran_programs"] = evidence.setting.ran_programs;
  if (!finding.would_pass) return figures;
  put(figures, "ratio", finding.would_pass->mode2_with.ratio);
  put(figures, "kbytes", finding.would_pass->mode2_with.overcommit_kbytes);
  put(figures, "swap_mib", finding.would_pass->mode2_with.more_swap_mib);
  put(figures, "swap0_mib", finding.would_pass->mode0_more_swap_mib);
  return figures;
}

// Replaces each {name} by its figure and each {at:KIND} by where such a limit is set; nullopt if a
// figure is not known.
std::optional<std::string> fill_in(std::string_view text, const Figures& figures,
                                   const Setting& setting) {
  constexpr std::string_view kAt = "at:";
  std::string filled;
  for (size_t open = text.find('{'); open != text.npos; open = text.find('{')) {
    const size_t close = text.find('}', open);
    const std::string_view name = text.substr(open + 1, close - open - 1);
    const auto figure = figures.find(name);
    const bool place = name.starts_with(kAt);
    if (!place && figure == figures.end()) return std::nullopt;
    filled += text.substr(0, open);
    filled += place ? knob_text(name.substr(kAt.size()), setting) : grouped(figure->second);
    text.remove_prefix(close + 1);
  }
  return filled.append(text);
}

bool depends_on_overcommit(std::string_view cause) {
  constexpr std::string_view kNot[] = {"unknown",        "injected",      "rehearsed",
                                       "bad-argument",   "not-permitted", "seccomp",
                                       "security-module"};
  for (const auto id : kNot)
    if (cause == id) return true;
  return cause == "commit-limit" || cause == "single-request-over-ram-and-swap";
}

}  // namespace

void advise(const Evidence& evidence, Finding& finding) {
  const Figures figures = advice_figures(evidence, finding);
  const auto add = [&](const AdviceRow& row) {
    if (!row.applies(evidence, finding)) return;
    if (auto text = fill_in(row.text, figures, evidence.setting))
      finding.advice.push_back(std::move(*text));
  };
  bool own_words_told = false;
  const auto tell_own_words = [&] {
    if (std::exchange(own_words_told, true)) return;
    for (const AdviceRow& row : kOwnWords)
      if (is_among(row.cause, finding.cause)) add(row);
  };
  for (const AdviceRow& row : kAdvice) {
    if (row.cause != finding.cause) continue;
    if (row.text.starts_with(kWholeHost)) tell_own_words();
    add(row);
  }
  tell_own_words();
  if (is_redis(evidence.comm) && !depends_on_overcommit(finding.cause))
    finding.advice.emplace_back(
        "the server's start-up warning about vm.overcommit_memory does not apply here: no value of "
        "it changes this");
}

}  // namespace ovc
