// SPDX-License-Identifier: MIT
//
// `ovc follow`: opens the log, reads it again and again, prints what is new.
#include "tools/commands/commands.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdio>
#include <memory>

#include "tools/follow/follow_story.h"
#include "tools/follow/follow_view.h"
#include "tools/log/log_reader.h"
#include "tools/text/interrupts.h"
#include "tools/text/json.h"
#include "tools/text/output.h"
#include "tools/text/terminal_view.h"

namespace ovc {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using Clock = std::chrono::steady_clock;

constexpr auto kShortestLook = 20ms, kWaitForLog = 200ms;
constexpr auto kFirstRenewal = 1s, kLongestRenewal = 60s;

int64_t now_ns() {
  return std::chrono::duration_cast<nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// The file under the log's name: is it still the one that was opened?
class NamedFile {
 public:
  NamedFile(std::string path, uint64_t bytes) : path_(std::move(path)), bytes_(bytes) {
    if (stat(path_.c_str(), &opened_) != 0) opened_ = {};
  }
  // Said once: recording goes on in a file that was removed or renamed, and so does following it.
  std::string news() {
    struct stat now {};
    const bool there = stat(path_.c_str(), &now) == 0;
    const bool same = there && now.st_ino == opened_.st_ino && now.st_dev == opened_.st_dev;
    if (same && static_cast<uint64_t>(now.st_size) < bytes_)
      throw Error(fmt::format("{}: was truncated while it was followed", escaped(path_)));
    if (same || std::exchange(told_, true)) return "";
    return fmt::format("{} was {}; still following the log that was opened", escaped(path_),
                       there ? "replaced by another file" : "removed or renamed");
  }

 private:
  std::string path_;
  uint64_t bytes_;
  struct stat opened_ {};
  bool told_ = false;
};

class Follow {
 public:
  Follow(const FollowOptions& options, LogReader& log)
      : options_(options),
        log_(log),
        story_(log),
        file_(log.path(), log.header().file_bytes),
        block_(log) {}

  int run(const Interrupts& interrupts) {
    look(false);
    while (!story_.all_ended(now_)) {
      const auto why = interrupts.pass(next_look());
      if (why == Interrupts::Why::kNobodyReads) return status();
      if (why == Interrupts::Why::kEnd) break;
      if (why == Interrupts::Why::kStop) stop();
      look(false);
    }
    look(true);
    view_.leave(block_.summary() + '\n');
    return status();
  }

 private:
  int status() const { return story_.found() ? 1 : 0; }

  void stop() {
    view_.leave();
    raise(SIGSTOP);
  }

  // Sooner than asked for where the ring would be passed before: a quarter of it at a time.
  nanoseconds next_look() const {
    const double share = story_.share_read();
    const double seconds =
        share > 0.25 ? last_wait_ * 0.25 / share : std::min(options_.interval, last_wait_ * 2);
    last_wait_ = std::clamp(seconds, std::chrono::duration<double>(kShortestLook).count(),
                            options_.interval);
    return std::chrono::duration_cast<nanoseconds>(std::chrono::duration<double>(last_wait_));
  }

  void look(bool last) {
    renew_clock();
    now_ = host_now();
    std::vector<Happening> lines = story_.go_on(now_, last);
    for (const Happening& line : lines) block_.count(line);
    if (!std::exchange(begun_, true) && lines.size() > options_.last)
      lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(options_.last));
    if (options_.json) print_json(lines);
    else print_text(lines);
    const std::string news = file_.news();
    if (news.empty()) return;
    view_.leave();
    fmt::print(stderr, "ovc: {}\n", news);
  }

  void print_json(const std::vector<Happening>& lines) {
    for (const Happening& line : lines) write_json(line);
    out_.flush();
  }

  void print_text(const std::vector<Happening>& lines) {
    std::string text;
    for (const Happening& line : lines) {
      text += line.wrong ? view_.painted(Colour::kRed, line_text(line)) : line_text(line);
      text += '\n';
    }
    const bool shown = view_.in_place();
    view_.show(text, shown ? block_.block(story_, now_, now_ns(), view_.columns() - 1)
                           : std::vector<std::string>{});
  }

  // A young log knows the rate of its clock from a short time only.
  void renew_clock() {
    if (Clock::now() < next_renewal_) return;
    if (begun_) log_.renew_clock();
    next_renewal_ = Clock::now() + renewal_;
    renewal_ = std::min<Clock::duration>(renewal_ * 2, kLongestRenewal);
  }

  int64_t time_of(const Happening& line) const {
    return line.tick ? log_.posix_ns(line.tick) : now_ns();
  }

  std::string line_text(const Happening& line) const {
    std::string text = clock_text(time_of(line), 3);
    if (line.pid)
      text += fmt::format("  {} {}", escaped(line.comm.empty() ? "?" : line.comm), line.pid);
    return text + fmt::format("  {}{}", line.kind == Kind::kLost ? "lost: " : "", line.text);
  }

  void write_json(const Happening& line) {
    Json object{{"time", iso_text(time_of(line))}, {"event", kind_name(line.kind)}};
    if (line.pid) object["pid"] = line.pid;
    if (line.pid) object["comm"] = line.comm;
    if (!line.fields.is_null()) object.update(line.fields);
    out_.text() += json_text(object) + '\n';
  }

  const FollowOptions& options_;
  LogReader& log_;
  Story story_;
  NamedFile file_;
  HostNow now_;
  Out out_;
  TerminalView view_{out_};
  FollowView block_;
  bool begun_ = false;
  mutable double last_wait_ = 1e9;
  Clock::time_point next_renewal_{};
  Clock::duration renewal_ = kFirstRenewal;
};

// nullptr: interrupted while it waited.
std::unique_ptr<LogReader> open_log(const FollowOptions& options, const Interrupts& interrupts) {
  while (true) {
    try {
      return std::make_unique<LogReader>(log_or_newest(options.log));
    } catch (const Error& error) {
      if (!options.wait)
        throw Error(fmt::format("{}; with --wait ovc waits until there is a log", error.what()));
    }
    if (interrupts.pass(kWaitForLog) != Interrupts::Why::kTime) return nullptr;
  }
}

}  // namespace

int follow(const FollowOptions& options) {
  const Interrupts interrupts;
  const auto log = open_log(options, interrupts);
  return log ? Follow(options, *log).run(interrupts) : 0;
}

}  // namespace ovc
