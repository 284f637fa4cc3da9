// SPDX-License-Identifier: MIT
//
// See child_stories.h.
#include "tools/verdict/child_stories.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "tools/log/call_text.h"
#include "tools/log/names.h"
#include "tools/text/output.h"
#include "tools/verdict/why_report.h"

namespace ovc {
namespace {

constexpr size_t kCallsShown = 3;
// A save is taken for one that does not come to its end if it lives so much longer than the others.
constexpr int64_t kTimesLonger = 10, kLongNs = int64_t{60} * 1'000'000'000;

ChildStory story_of(std::string_view id, const Siblings& siblings) {
  ChildStory story;
  story.id = id;
  story.of = siblings;
  story.found = true;
  story.ended = siblings.ended();
  return story;
}

// ---- children that failed ----

// The newest one's, since it is the one whose records are still there.
std::vector<Event> failed_calls(const LogReader& log, const Copy& copy) {
  std::vector<Event> calls;
  log.for_each_event([&](const Event& event) {
    const auto& b = event.base;
    if (b.pid != copy.pid || !event.failed() || b.begin_tick < copy.tick ||
        b.begin_tick > copy.end->tick)
      return true;
    calls.push_back(event);
    return true;
  });
  std::stable_sort(calls.begin(), calls.end(), [](const Event& a, const Event& b) {
    return a.base.begin_tick < b.base.begin_tick;
  });
  if (calls.size() > kCallsShown)
    calls.erase(calls.begin(), calls.end() - static_cast<std::ptrdiff_t>(kCallsShown));
  return calls;
}

// Is it a finding? Of a save every end but 0 is one; of others nobody knows what they mean by it.
std::optional<ChildStory> failed_story(const LogReader& log, const Siblings& siblings) {
  ChildStory story = story_of("children-failed", siblings);
  story.found = siblings.saves;
  std::erase_if(story.of.copies, [](const Copy& copy) { return !copy.failed(); });
  if (story.of.copies.empty() || !siblings.saves) return std::nullopt;
  const Copy& newest = story.of.copies.back();
  story.status = newest.end->status.value_or(0);
  story.err = newest.end->err;
  story.shortest_ns = newest.lived_ns;
  for (const Copy& copy : story.of.copies)
    story.shortest_ns = std::min(story.shortest_ns, copy.lived_ns);
  story.longest_ns = story.of.longest_ns();
  story.last_calls = failed_calls(log, newest);
  return story;
}

// ---- children that live on ----

const Process* process_of(const std::vector<Process>& all, const Copy& copy) {
  for (const Process& process : all)
    if (process.slot.pid == copy.pid && process.slot.fork_position == copy.position)
      return &process;
  return nullptr;
}

std::optional<ChildStory> living_story(const Siblings& siblings, const Copy& copy,
                                       const Living& life) {
  ChildStory story = story_of("child-stuck", siblings);
  story.of.copies = {copy};
  story.longest_ns = siblings.longest_ns();
  story.pid_here = life.pid_here, story.alive_ns = life.alive_ns, story.wait = life.wait;
  if (story.wait) return story;
  if (!siblings.saves || story.ended == 0 || story.alive_ns < kLongNs ||
      story.alive_ns / kTimesLonger < story.longest_ns)
    return std::nullopt;
  story.id = "child-lives-long";
  return story;
}

void add_living(const LogReader& log, const Siblings& siblings, const std::vector<Process>& all,
                const HostNow& now, std::vector<ChildStory>& stories) {
  for (const Copy& copy : siblings.copies) {
    const Process* process = copy.end ? nullptr : process_of(all, copy);
    const auto life = process ? living(log, now, *process) : std::nullopt;
    if (!life) continue;
    if (auto story = living_story(siblings, copy, *life)) stories.push_back(std::move(*story));
  }
}

// ---- in words ----

std::string parent_text(const Siblings& of) {
  return of.comm.empty() ? fmt::format("process {}", of.parent_pid)
                         : fmt::format("{} (pid {})", escaped(of.comm), of.parent_pid);
}

std::string lives_text(const ChildStory& story) {
  const std::string longest = duration_text(story.longest_ns);
  return story.shortest_ns == story.longest_ns
             ? longest
             : fmt::format("{} to {}", duration_text(story.shortest_ns), longest);
}

std::string asked_text(const Siblings& of) {
  std::string text;
  for (size_t i = 0; i < of.functions.size() && i < 4; ++i)
    text += (i ? " <- " : "") + of.functions[i];
  text = escaped(text);
  if (!of.purpose.empty()) text += fmt::format("{}({})", text.empty() ? "" : "  ", of.purpose);
  return text;
}

std::string siblings_text(const ChildStory& story) {
  if (story.ended == 0)
    return "no other child from there has ended, so none tells how long one takes";
  return fmt::format("{} from there that ended lived {} at most",
                     story.ended == 1 ? "the one other child"
                                      : fmt::format("the {} other children", grouped(story.ended)),
                     duration_text(story.longest_ns));
}

struct ErrnoAdvice {
  uint16_t err;
  std::string_view text;
};
constexpr ErrnoAdvice kErrnoAdvice[] = {
    {ENOSPC, "make room where it saves (redis: CONFIG GET dir), and look at df -i too"},
    {EDQUOT, "the user's quota where it saves (redis: CONFIG GET dir)"},
    {EROFS, "it saves into a read-only file system (redis: CONFIG GET dir)"},
    {EACCES, "its user may not write where it saves (redis: CONFIG GET dir)"},
    {EPERM, "its user may not write where it saves (redis: CONFIG GET dir)"},
    {ENOENT, "the folder where it saves is not there (redis: CONFIG GET dir)"},
    {EIO, "the disk reported an error: dmesg"},
};

Told tell_failed(const ChildStory& story) {
  const uint64_t failed = story.of.copies.size();
  Told told;
  told.title =
      fmt::format("{} of {} save {} of {} exited {} after {}", grouped(failed),
                  grouped(std::max(failed, story.ended)), story.ended == 1 ? "child" : "children",
                  parent_text(story.of), story.status, lives_text(story));
  if (const std::string asked = asked_text(story.of); !asked.empty()) told.add("asked by", asked);
  told.add("cause",
           "the forks passed: memory is not the cause; the server's own log has its reason");
  if (story.err)
    told.add("errno", fmt::format("{} was the last error of the newest one when it exited",
                                  errno_name(story.err)));
  for (const Event& call : story.last_calls) {
    std::string text;
    append_call(text, call);
    append_result(text, call, Fate::kReturned);
    told.add("last failed", text);
  }
  for (const ErrnoAdvice& row : kErrnoAdvice)
    if (row.err == story.err) told.add("to do", row.text);
  return told;
}

Told tell_living(const ChildStory& story) {
  const Copy& copy = story.of.copies.front();
  const std::string age = duration_text(story.alive_ns);
  Told told;
  told.title = fmt::format("child {} of {} {} for {}", copy.pid, parent_text(story.of),
                           story.wait ? "is stuck: alive" : "lives unusually long:", age);
  if (const std::string asked = asked_text(story.of); !asked.empty()) told.add("asked by", asked);
  if (story.wait)
    told.add("cause", fmt::format("it waits for a lock ({:#x}) that nobody can give back: the lock "
                                  "was held at the fork by a thread that the child does not have",
                                  story.wait->futex));
  else
    told.add("cause", "not known: what it waits for could not be read, or is no lock of its own");
  told.add("siblings", siblings_text(story));
  if (story.of.saves) told.add("meaning", "as long as it lives the server starts no other save");
  if (story.wait)
    told.add("to do",
             fmt::format("kill -9 {}{}: it cannot go on; the parent sees a failed child",
                         story.pid_here, story.pid_here == copy.pid ? "" : ", its number here"));
  return told;
}

}  // namespace

std::optional<Living> living(const LogReader& log, const HostNow& now, const Process& process) {
  if (!same_boot(log, now) || !now.alive || !now.pid_here ||
      is_alive(process.slot, now) != HostNow::Alive::kYes)
    return std::nullopt;
  Living life{now.pid_here(process.slot), now.posix_ns - log.posix_ns(process.slot.start_tick), {}};
  if (life.pid_here) life.wait = lock_wait(SystemRoot{}, life.pid_here);
  return life;
}

std::string living_text(const Living& life) {
  const std::string age = duration_text(life.alive_ns);
  return life.wait
             ? fmt::format("stuck: alive for {}, waits for a lock that nobody can give back", age)
             : "alive for " + age;
}

bool may_have_stories(const LogReader& log, const ProcessEnds& ends, const HostNow& now) {
  for (const auto& [pid, signs] : ends.told())
    for (const EndSign& sign : signs)
      if (sign.status.value_or(0) != 0 && ends.image_of(pid, sign.tick).empty()) return true;
  const std::vector<Process> all = log.processes();
  return same_boot(log, now) && now.alive &&
         std::any_of(all.begin(), all.end(), [&](const Process& process) {
           return process.slot.fork_position != ovcshim::kUnknown && process.slot.images <= 1 &&
                  process.slot.end_tick == 0 && is_alive(process.slot, now) == HostNow::Alive::kYes;
         });
}

std::vector<ChildStory> child_stories(const LogReader& log, const ForkList& forks,
                                      const HostNow& now) {
  std::vector<ChildStory> stories;
  const bool lives = same_boot(log, now);
  const std::vector<Process> all = lives ? log.processes() : std::vector<Process>{};
  for (const Siblings& siblings : siblings_of(log, forks)) {
    if (auto story = failed_story(log, siblings)) stories.push_back(std::move(*story));
    if (lives) add_living(log, siblings, all, now, stories);
  }
  std::stable_sort(stories.begin(), stories.end(), [](const ChildStory& a, const ChildStory& b) {
    return a.of.copies.front().tick < b.of.copies.front().tick;
  });
  return stories;
}

Told tell(const LogReader&, const ChildStory& story) {
  return story.id == "children-failed" ? tell_failed(story) : tell_living(story);
}

}  // namespace ovc
