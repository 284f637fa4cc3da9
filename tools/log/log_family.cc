// SPDX-License-Identifier: MIT
//
// See log_family.h. A folder may hold many logs, and anybody's: each is looked at through its
// header and process table first, and only a relative is opened as a log.
#include "tools/log/log_family.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "tools/text/output.h"

namespace ovc {
namespace {

using namespace ovcshim;
namespace fs = std::filesystem;

constexpr size_t kMostLooks = 4096;  // files in one folder
constexpr uint64_t kMostSlots = 1 << 16;
constexpr std::string_view kEnding = ".ovc", kUid = ".uid";

// What of a process is the same in every log that it is in.
using Life = std::tuple<uint32_t, uint64_t, uint64_t>;  // pid, start time, pid namespace

Life life(const ProcessSlot& slot) { return {slot.pid, slot.start_ticks, slot.pidns}; }

class ForeignFile {
 public:
  explicit ForeignFile(const fs::path& path)
      : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)) {}
  ~ForeignFile() {
    if (fd_ >= 0) close(fd_);
  }
  ForeignFile(const ForeignFile&) = delete;
  ForeignFile& operator=(const ForeignFile&) = delete;
  bool ok() const { return fd_ >= 0; }
  bool read(void* to, size_t bytes, uint64_t offset) const {
    return pread(fd_, to, bytes, static_cast<off_t>(offset)) == static_cast<ssize_t>(bytes);
  }

 private:
  int fd_;
};

// The processes of a log of this boot; none if it is no such log.
std::vector<ProcessSlot> processes_in(const ForeignFile& file, const FileHeader& first) {
  auto head = std::make_unique<FileHeader>();
  if (!file.read(head.get(), sizeof *head, 0) ||
      std::memcmp(head->magic, kMagic, sizeof kMagic) != 0 || head->endian != kEndianMark ||
      !head->ready || std::strncmp(head->boot_id, first.boot_id, sizeof first.boot_id) != 0)
    return {};
  const uint64_t count = head->processes.bytes / sizeof(ProcessSlot);
  if (count > kMostSlots) return {};
  std::vector<ProcessSlot> slots(count);
  if (!file.read(slots.data(), count * sizeof(ProcessSlot), head->processes.offset)) return {};
  std::erase_if(slots, [](const ProcessSlot& slot) { return slot.pid == 0; });
  return slots;
}

class FamilySearch {
 public:
  explicit FamilySearch(const LogReader& first) : first_(first), path_(first.path()) {
    for (const Process& process : first.processes()) {
      lives_.insert(life(process.slot));
      born_[{process.slot.pid, process.slot.pidns}].push_back(process.slot.start_ticks);
    }
    std::error_code error;
    here_ = fs::absolute(path_, error).parent_path();
  }

  LogFamily run() {
    if (stat(path_.c_str(), &own_) != 0) return {};
    look_into(here_);
    if (here_ != "/var/tmp") look_into("/var/tmp");
    std::sort(found_.others.begin(), found_.others.end(),
              [](const Relative& a, const Relative& b) { return a.log->path() < b.log->path(); });
    return std::move(found_);
  }

 private:
  void look_into(const fs::path& directory) {
    std::error_code error;
    size_t looks = 0;
    for (fs::directory_iterator it(directory, error), end;
         !error && it != end && looks < kMostLooks; it.increment(error))
      if (it->path().extension() == kEnding || is_named_after_first(it->path())) {
        ++looks;
        look_at(it->path());
      }
  }

  // "a.uid999.ovc" beside "a.ovc"
  bool is_named_after_first(const fs::path& path) const {
    const std::string name = path.filename(), own = path_.filename();
    const std::string_view ending = own.ends_with(kEnding) ? kEnding : "";
    const std::string start = own.substr(0, own.size() - ending.size()) + std::string(kUid);
    if (path.parent_path() != here_ || !name.starts_with(start) || !name.ends_with(ending))
      return false;
    const std::string uid = name.substr(
        start.size(), name.size() - std::min(name.size(), start.size() + ending.size()));
    return !uid.empty() && uid.find_first_not_of("0123456789") == std::string::npos;
  }

  bool is_related(const std::vector<ProcessSlot>& processes) const {
    return std::any_of(processes.begin(), processes.end(), [this](const ProcessSlot& slot) {
      return lives_.contains(life(slot)) || has_parent_here(slot);
    });
  }

  // A pid is given again: only who was there before the child can be its parent. 0: not known, as
  // where there is no /proc.
  bool has_parent_here(const ProcessSlot& child) const {
    const auto found = born_.find({child.parent_pid, child.pidns});
    return found != born_.end() &&
           std::any_of(found->second.begin(), found->second.end(), [&](uint64_t born) {
             return child.start_ticks == 0 || born <= child.start_ticks;
           });
  }

  void look_at(const fs::path& path) {
    struct stat info {};
    if (lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode) ||
        (info.st_ino == own_.st_ino && info.st_dev == own_.st_dev))
      return;
    const bool named = is_named_after_first(path);
    if (!named && info.st_uid == own_.st_uid) return;  // a log of its own, by its user's wish
    const ForeignFile file(path);
    if (!file.ok()) {
      if (named)
        found_.notes.push_back(fmt::format("{}, of uid {}, cannot be read: {}",
                                           escaped(path.string()), info.st_uid, strerror(errno)));
      return;
    }
    const auto processes = processes_in(file, first_.header());
    if (is_related(processes)) take(path, info.st_uid);
    else if (named && !processes.empty())
      found_.notes.push_back(
          fmt::format("{} is named after this log, but none of its processes is known here: it may "
                      "be of another run",
                      escaped(path.string())));
  }

  void take(const fs::path& path, uint32_t uid) {
    const bool named_relative = !path_.is_absolute() && path.parent_path() == here_;
    const fs::path shown = named_relative ? path_.parent_path() / path.filename() : path;
    try {
      found_.others.push_back({std::make_unique<LogReader>(shown.string()), uid});
    } catch (const Error& error) { found_.notes.emplace_back(error.what()); }
  }

  const LogReader& first_;
  fs::path path_, here_;
  struct stat own_ {};
  std::set<Life> lives_;
  std::map<std::pair<uint32_t, uint64_t>, std::vector<uint64_t>> born_;  // by pid and its namespace
  LogFamily found_;
};

}  // namespace

LogFamily family_of(const LogReader& first) { return FamilySearch(first).run(); }

std::string heading(const LogReader& first) {
  return fmt::format("log {}\n", escaped(first.path()));
}

std::string heading(const Relative& relative) {
  return fmt::format("log {}, of uid {}, of the same run\n", escaped(relative.log->path()),
                     relative.uid);
}

}  // namespace ovc
