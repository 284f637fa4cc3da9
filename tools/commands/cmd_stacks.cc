// SPDX-License-Identifier: MIT
//
// `ovc check PID --stacks`: where each thread of a running process is.
#include <fmt/format.h>

#include "tools/attach/named_stack.h"
#include "tools/commands/commands.h"
#include "tools/text/json.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

bool is_orphaned(const AwaitedLock& lock) { return lock.holder && !lock.holder_is_here; }

std::string age_text(const ProcessFacts& facts) {
  return duration_text(static_cast<int64_t>(facts.age_seconds * 1e9));
}

std::string holder_text(const AwaitedLock& lock, const ProcessFacts& facts) {
  if (!lock.holder) return "";
  return lock.holder_is_here
             ? fmt::format(", held by thread {}", *lock.holder)
             : fmt::format(
                   ", held by thread {}, which this process does not have: held in the "
                   "parent when it forked this one, {} ago",
                   *lock.holder, age_text(facts));
}

std::string doing_text(const NamedThread& thread, const ProcessFacts& facts) {
  if (thread.runs) return "runs";
  if (!thread.lock) return fmt::format("in {}", thread.call);
  return fmt::format("waits for the lock at {:#x} ({}){}", thread.lock->address,
                     escaped(thread.lock->place), holder_text(*thread.lock, facts));
}

std::string_view rest_text(WalkEnd end) {
  switch (end) {
    case WalkEnd::kBottom: return "";
    case WalkEnd::kLost: return "  ... (no unwind table covers the next frame)\n";
    case WalkEnd::kMany: return "  ... (more frames follow)\n";
  }
  return "";
}

void add_thread(std::string& out, const NamedThread& thread, const ProcessFacts& facts) {
  out += fmt::format("thread {} {}, {}\n", thread.tid, escaped(thread.name),
                     doing_text(thread, facts));
  for (const Frame& frame : thread.frames) {
    out += fmt::format("  {}", escaped(frame.text()));
    if (!frame.file.empty()) out += fmt::format(" {}", escaped(frame.source()));
    out += '\n';
  }
  out += rest_text(thread.end);
}

void add_text(std::string& out, const ProcessStacks& stacks) {
  out += fmt::format("{} (pid {}): {}, alive for {}, stopped for {}\n", escaped(stacks.facts.comm),
                     stacks.facts.pid, counted(stacks.threads.size(), "thread"),
                     age_text(stacks.facts), duration_text(stacks.stopped_ns));
  for (const NamedThread& thread : stacks.threads) add_thread(out, thread, stacks.facts);
}

Json live_frame_json(const Frame& frame) {
  Json json{{"address", hex_text(frame.address)}, {"module", frame.module}};
  json["function"] = frame.function.empty() ? Json() : Json(frame.function);
  json["offset"] = frame.offset;
  json["source"] = frame.file.empty() ? Json() : Json(frame.source());
  json["inlined"] = frame.inlined;
  return json;
}

Json lock_json(const AwaitedLock& lock) {
  return {{"address", hex_text(lock.address)},
          {"place", lock.place},
          {"holder", lock.holder ? Json(*lock.holder) : Json()},
          {"holder_is_here", lock.holder ? Json(lock.holder_is_here) : Json()}};
}

Json live_process_json(const ProcessStacks& stacks) {
  constexpr const char* kEnds[] = {"bottom", "lost", "more"};
  Json threads = Json::array();
  for (const NamedThread& thread : stacks.threads) {
    Json frames = Json::array();
    for (const Frame& frame : thread.frames) frames.push_back(live_frame_json(frame));
    threads.push_back({{"tid", thread.tid},
                       {"name", thread.name},
                       {"call", thread.runs ? Json() : Json(thread.call)},
                       {"lock", thread.lock ? lock_json(*thread.lock) : Json()},
                       {"frames", frames},
                       {"end", kEnds[static_cast<int>(thread.end)]}});
  }
  return {{"pid", stacks.facts.pid},
          {"comm", stacks.facts.comm},
          {"alive_seconds", stacks.facts.age_seconds},
          {"stopped_ns", stacks.stopped_ns},
          {"threads", threads}};
}

}  // namespace

int stacks(const CheckOptions& options, const std::vector<uint32_t>& pids) {
  bool orphaned = false;
  Json all = Json::array();
  Out out;
  for (const uint32_t pid : pids) {
    const ProcessStacks stacks = read_stacks(pid);
    for (const NamedThread& thread : stacks.threads)
      orphaned = orphaned || (thread.lock && is_orphaned(*thread.lock));
    if (options.json) all.push_back(live_process_json(stacks));
    else add_text(out.text(), stacks);
  }
  if (options.json) out.text() += json_text(all, 2) + "\n";
  out.flush();
  return orphaned;
}

}  // namespace ovc
