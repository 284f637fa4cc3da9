// SPDX-License-Identifier: MIT
//
// Opening a log: what must hold before anything in it is used. Then the tables beside the lanes:
// processes and counters.
#include "tools/log/log_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <tuple>

#include "tools/log/log_memory.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

using namespace ovcshim;

constexpr uint64_t kMaxFileBytes = uint64_t{64} << 30;
constexpr uint64_t kMaxProcesses = 1 << 16;
constexpr uint64_t kMaxStripes = 1 << 17;
constexpr uint64_t kMaxGrowthBytes = 256 << 20, kMaxReadingsBytes = 16 << 20;

// Both have the same byte order and the same layout of all that is stored.
bool is_known(uint32_t machine) {
  return machine == static_cast<uint32_t>(Machine::kX86_64) ||
         machine == static_cast<uint32_t>(Machine::kAarch64);
}

// Closes on every way out.
struct File {
  int fd = -1;
  ~File() {
    if (fd >= 0) close(fd);
  }
};

[[noreturn]] void refuse(const std::string& path, std::string_view why) {
  throw Error(fmt::format("{}: {}", escaped(path), why));
}

// Looks before opening: opening a FIFO waits for a writer, opening a device can do anything.
void open_regular(const std::string& path, File& file, struct stat& info) {
  if (stat(path.c_str(), &info) != 0)
    refuse(path, fmt::format("cannot open the log: {}", strerror(errno)));
  if (S_ISDIR(info.st_mode)) refuse(path, "is a directory; give the path of a log file");
  if (!S_ISREG(info.st_mode)) refuse(path, "is not a regular file, so not a log");
  file.fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (file.fd < 0) refuse(path, fmt::format("cannot open the log: {}", strerror(errno)));
  if (fstat(file.fd, &info) != 0 || !S_ISREG(info.st_mode))
    refuse(path, "is not a regular file, so not a log");
}

template <size_t n>
void terminate(char (&text)[n]) {
  text[n - 1] = '\0';
}

bool all_zero(const char (&magic)[16]) {
  return std::all_of(std::begin(magic), std::end(magic), [](char c) { return c == 0; });
}

template <typename Struct>
Struct copy_from(const LogMapping& log, uint64_t offset) {
  Struct copy;
  std::memcpy(&copy, log.at(offset, sizeof copy), sizeof copy);
  return copy;
}

template <typename Source>
void add_counters(Totals& sum, const Source& source) {
  for (size_t i = 0; i < sum.calls.size(); ++i) sum.calls[i] += source.calls[i];
  for (size_t i = 0; i < sum.failed.size(); ++i) sum.failed[i] += source.failed[i];
  for (size_t i = 0; i < sum.sizes.size(); ++i) sum.sizes[i] += source.sizes[i];
  sum.requested_bytes += source.requested_bytes;
  sum.calls_not_kept += source.calls_not_kept;
}

// A log that nobody else can have put there for us to read; root looks after the logs of all.
bool may_be_taken(const std::string& path, struct stat& info) {
  return lstat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
         (geteuid() == 0 || info.st_uid == geteuid());
}

std::string newest_in(const std::filesystem::path& directory) {
  namespace fs = std::filesystem;
  std::tuple<int64_t, int64_t, std::string> newest;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename();
    struct stat info {};
    if (!name.starts_with("ovcshim.") || !name.ends_with(".ovc") || !may_be_taken(it->path(), info))
      continue;
    newest = std::max(newest, {info.st_mtim.tv_sec, info.st_mtim.tv_nsec, it->path().string()});
  }
  return std::get<2>(newest);
}

// Older shims took a process whose parent is outside of its pid namespace for its own parent.
void mend(Process& process) {
  ovcshim::ProcessSlot& slot = process.slot;
  terminate(slot.comm);
  terminate(slot.exe);
  if (slot.parent == process.index && slot.parent_serial == slot.serial)
    slot.parent = ovcshim::kNoIndex;
}

}  // namespace

std::optional<uint64_t> Event::fact(FactKey key) const {
  for (const Fact& fact : facts)
    if (fact.key == static_cast<uint32_t>(key) && fact.value != kUnknown) return fact.value;
  return std::nullopt;
}

uint32_t child_pid(const Event& event) {
  const auto& base = event.base;
  if (!event.returned() || event.failed()) return 0;
  switch (base.op) {
    case Op::kFork:
    case Op::kUnderscoreFork:
    case Op::kVfork:
    case Op::kClone:
    case Op::kDaemon:
    case Op::kForkpty: return static_cast<uint32_t>(base.result);
    case Op::kPosixSpawn:
    case Op::kPosixSpawnp: return static_cast<uint32_t>(base.args[0]);
    default: return 0;  // threads; and popen, system and their kin keep it to themselves
  }
}

std::string Process::comm() const { return slot.comm; }
std::string Process::exe() const { return slot.exe; }

bool end_is_recorded(const ProcessSlot& slot) {
  return slot.exit_known != 0 || slot.end_tick != 0 ||
         slot.use == static_cast<uint32_t>(SlotUse::kEnded) ||
         slot.use == static_cast<uint32_t>(SlotUse::kRetiring);
}

LogReader::LogReader(const std::string& path) : path_(path) {
  map_file(path);
  memory_ = std::make_unique<MemoryRecords>(*this);
  calibrate();
}
LogReader::~LogReader() = default;

void LogReader::map_file(const std::string& path) {
  File file;
  struct stat info {};
  open_regular(path, file, info);
  const auto on_disk = static_cast<uint64_t>(info.st_size);
  if (on_disk == 0) refuse(path, "is empty, so it is not a log");
  if (pread(file.fd, &header_, std::min<uint64_t>(sizeof header_, on_disk), 0) < 0)
    refuse(path, fmt::format("cannot read the log: {}", strerror(errno)));
  check_header(on_disk);
  check_areas();
  if (!bytes_.map(file.fd, header_.file_bytes))
    refuse(path, fmt::format("cannot map the log: {}", strerror(errno)));
}

// What a file that is no log is, as far as its first bytes tell.
std::string LogReader::other_kind() const {
  struct Kind {
    std::string_view magic, hint;
  };
  constexpr Kind kKinds[] = {
      {"\x1f\x8b", "it is packed by gzip: unpack it first (gunzip)"},
      {"\xfd"
       "7zXZ",
       "it is packed by xz: unpack it first (unxz)"},
      {"\x28\xb5\x2f\xfd", "it is packed by zstd: unpack it first (unzstd)"},
      {"\x7f"
       "ELF",
       "it is a program, a library or a core dump; to record a program: ovc run -- PROGRAM"},
      {"#!", "it is a script; to record it: ovc run -- SCRIPT"},
  };
  const std::string_view start(header_.magic, sizeof header_.magic);
  for (const Kind& kind : kKinds)
    if (start.starts_with(kind.magic)) return fmt::format("is not an ovcshim log; {}", kind.hint);
  return "is not an ovcshim log; those are named ovcshim.*.ovc by default, and `ovc run -- "
         "COMMAND` makes one";
}

void LogReader::check_header(size_t on_disk) {
  const FileHeader& h = header_;
  if (on_disk >= sizeof h.magic && all_zero(h.magic))
    refuse(path_,
           "holds no records yet: the program that created it has not written any, or was killed "
           "before");
  if (on_disk < sizeof h.magic || std::memcmp(h.magic, kMagic, sizeof kMagic) != 0)
    refuse(path_, other_kind());
  if (on_disk < sizeof h)
    refuse(path_, fmt::format("is cut off after {} bytes, inside its header; copy the whole log",
                              on_disk));
  if (h.endian == __builtin_bswap32(kEndianMark))
    refuse(path_, "was written on a machine with the other byte order; read it there");
  if (h.endian != kEndianMark) refuse(path_, "is damaged: its byte order mark is wrong");
  if (!is_known(h.machine))
    refuse(path_, fmt::format("is damaged or was written on another architecture (ELF machine {}); "
                              "this ovc reads logs of x86-64 and aarch64",
                              h.machine));
  if (const uint64_t unknown = h.incompatible_flags & ~kKnownIncompatibleFlags)
    refuse(path_, fmt::format("needs a newer ovc: format version {}, written by shim {}; this ovc "
                              "knows {} (features {:#x})",
                              h.version,
                              escaped(std::string(h.shim_version,
                                                  strnlen(h.shim_version, sizeof h.shim_version))),
                              kFormatVersion, unknown));
  if (h.version == 0) refuse(path_, "is damaged: it has no format version");
  if (h.ready != 1)
    refuse(path_,
           "is half-written: the program that created it is still starting, or was killed then");
  if (h.file_bytes > on_disk)
    refuse(path_, fmt::format("is cut off: {} of {} bytes are there; copy the whole log", on_disk,
                              h.file_bytes));
  if (h.file_bytes > kMaxFileBytes)
    refuse(path_, "is damaged: its header gives an impossible size");
}

void LogReader::check_areas() {
  FileHeader& h = header_;
  const auto check = [&](auto& area, uint64_t unit, uint64_t max_bytes, std::string_view name) {
    if (area.offset > h.file_bytes || area.bytes > h.file_bytes - area.offset ||
        area.bytes % unit != 0 || area.bytes > max_bytes || area.offset < kHeaderBytes ||
        area.offset % 8 != 0)
      refuse(path_, fmt::format("is damaged: its header places the {} outside the file", name));
  };
  if (h.calls.bytes == 0) h.calls.offset = kHeaderBytes;
  check(h.processes, sizeof(ProcessSlot), kMaxProcesses * sizeof(ProcessSlot), "process table");
  check(h.stripes, kStripeBytes, kMaxStripes * kStripeBytes, "counters");
  if (!(h.incompatible_flags & kTwoRings)) h.vitals = {kHeaderBytes, 0};
  check(h.vitals, kSlotBytes, kMaxFileBytes, "vitals ring");
  check(h.events, kSlotBytes, kMaxFileBytes, "event lane");
  check(h.calls, kChunkBytes, kMaxFileBytes, "call lane");
  if (h.growth.bytes == 0) h.growth.offset = kHeaderBytes;
  check(h.growth, sizeof(uint64_t), kMaxGrowthBytes, "totals by stack");
  if (h.readings.bytes == 0) h.readings.offset = kHeaderBytes;
  check(h.readings, sizeof(uint64_t), kMaxReadingsBytes, "readings");
  if (!(h.incompatible_flags & kMemoryRing)) h.memory = {kHeaderBytes, 0};
  check(h.memory, sizeof(MemoryUnit), kMaxFileBytes, "memory ring");
  if (h.events.bytes == 0) refuse(path_, "is damaged: its event lane has no room");
  terminate(h.kernel_release);
  terminate(h.kernel_version);
  terminate(h.boot_id);
  terminate(h.shim_version);
  terminate(h.rehearse);
  terminate(h.inject);
  h.caller_shift = std::min(h.caller_shift, 16u);
}

const unsigned char* LogReader::growth_bytes(uint64_t offset, uint64_t bytes) const {
  if (offset > header_.growth.bytes || bytes > header_.growth.bytes - offset)
    refuse(path_, "is damaged: its totals by stack lie outside their area");
  return bytes_.at(header_.growth.offset + offset, bytes);
}

const unsigned char* LogReader::readings_bytes(uint64_t offset, uint64_t bytes) const {
  if (offset > header_.readings.bytes || bytes > header_.readings.bytes - offset)
    refuse(path_, "is damaged: its readings lie outside their area");
  return bytes_.at(header_.readings.offset + offset, bytes);
}

std::optional<uint64_t> LogReader::host(FactKey key) const {
  for (const Fact& fact : header_.host) {
    if (fact.key == 0) break;
    if (fact.key == static_cast<uint32_t>(key) && fact.value != kUnknown) return fact.value;
  }
  return std::nullopt;
}

std::vector<Process> LogReader::processes() const {
  std::vector<Process> found;
  for (uint64_t i = 0; i < header_.processes.bytes / sizeof(ProcessSlot); ++i) {
    const auto slot =
        copy_from<ProcessSlot>(bytes_, header_.processes.offset + i * sizeof(ProcessSlot));
    if (slot.use == static_cast<uint32_t>(SlotUse::kFree) || slot.pid == 0) continue;
    found.push_back({static_cast<uint32_t>(i), slot});
    mend(found.back());
  }
  return found;
}

std::optional<Process> LogReader::process(uint32_t index, uint32_t serial) const {
  if (index >= header_.processes.bytes / sizeof(ProcessSlot)) return std::nullopt;
  Process p{index,
            copy_from<ProcessSlot>(bytes_, header_.processes.offset + index * sizeof(ProcessSlot))};
  if (p.slot.use == static_cast<uint32_t>(SlotUse::kFree) || p.slot.serial != serial)
    return std::nullopt;
  mend(p);
  return p;
}

// Stripe by stripe, those left out that are in the totals of retired processes already.
void LogReader::for_each_stripe(
    const std::function<void(const Stripe&, uint64_t index)>& each) const {
  const uint64_t folded = retired().last_folded;
  for (uint64_t i = 0; i < header_.stripes.bytes / kStripeBytes; ++i) {
    const uint64_t offset = header_.stripes.offset + i * kStripeBytes;
    if (bytes_.next_data(offset) >= offset + kStripeBytes) continue;
    const auto stripe = copy_from<Stripe>(bytes_, offset);
    if (stripe.fold_id == 0 || stripe.fold_id != folded) each(stripe, i);
  }
}

std::map<ProcessId, Totals> LogReader::totals() const {
  std::map<ProcessId, Totals> sums;
  for_each_stripe([&](const Stripe& stripe, uint64_t i) {
    if (i == kSharedStripe || stripe.fold_id == 0) return;
    Totals& sum = sums[{stripe.process, stripe.process_serial}];
    add_counters(sum, stripe);
    ++sum.threads;
  });
  return sums;
}

Totals LogReader::shared_totals() const {
  Totals sum;
  for_each_stripe([&](const Stripe& stripe, uint64_t i) {
    if (i != kSharedStripe) return;
    add_counters(sum, stripe);
    ++sum.threads;
  });
  return sum;
}

// Anew while the writer steps on: the other totals are being written then.
RetiredTotals LogReader::retired() const {
  constexpr int kTries = 100;
  const auto* version =
      reinterpret_cast<const uint64_t*>(bytes_.at(offsetof(FileHeader, retired_version), 8));
  RetiredTotals found{};
  for (int tries = 0; tries < kTries; ++tries) {
    const uint64_t before = __atomic_load_n(version, __ATOMIC_ACQUIRE);
    found = copy_from<RetiredTotals>(bytes_, kRetiredOffset + (before & 1) * sizeof found);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (__atomic_load_n(version, __ATOMIC_RELAXED) == before) break;
  }
  return found;
}

Totals LogReader::retired_totals() const {
  Totals sum;
  add_counters(sum, retired());
  return sum;
}

uint64_t LogReader::retired_processes() const { return retired().processes; }
uint64_t LogReader::call_chunks() const { return header_.calls.bytes / kChunkBytes; }

std::string newest_log_if_any() {
  for (const char* directory : {".", "/var/tmp"})
    if (std::string found = newest_in(directory); !found.empty())
      return found.starts_with("./") ? found.substr(2) : found;
  return {};
}

std::string newest_log() {
  if (std::string found = newest_log_if_any(); !found.empty()) return found;
  throw Error(
      "no log named, and there is no ovcshim.*.ovc here or in /var/tmp; give a path, or record "
      "one: ovc run -- COMMAND");
}

std::string log_or_newest(const std::string& log) { return log.empty() ? newest_log() : log; }

}  // namespace ovc
