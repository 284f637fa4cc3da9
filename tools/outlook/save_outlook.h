// SPDX-License-Identifier: MIT
//
// Will a save survive? A fork shares all private pages; as long as the child lives, each page that
// either side writes is copied, so that memory grows while it saves, by its private pages once at
// most, whatever the commit rules say. What is free for that is what the tightest memory group
// above it leaves, else what the host has. Pure: facts in, outlook out.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/outlook/live_process.h"

namespace ovc {

enum class Survival : uint8_t { kUnknown, kSurely, kNotSurely };

struct SaveOutlook {
  Survival answer = Survival::kUnknown;
  // What a save may take at most: its private pages, what of them is in swap and has to be read
  // back, the page tables of the child, and a little of its own.
  std::optional<uint64_t> pages_kb, swapped_kb, tables_kb;
  std::optional<uint64_t> most_kb;  // together
  std::optional<GroupLimit> group;  // the memory group that leaves the least; none: the host's
  std::optional<uint64_t> free_kb;  // there, its file cache and the swap that it may take included
  uint64_t swap_kb = 0;             // of it swap
  // memory.high of a group that the copies may pass: writes are slowed down from there on
  std::optional<GroupLimit> slows;
  uint64_t slows_after_kb = 0;  // so much may be copied before
  // The group whose processes all end with the one that the OOM killer takes; empty: only that one.
  // And version 1: nobody is killed, who needs memory waits.
  std::string killed_together;
  bool waits_instead = false;
  bool groups_hidden = false;     // groups above are not visible here: one may leave less
  bool thp_always = false;        // for this process
  bool thp_copies_whole = false;  // before Linux 5.8 a copy is of the whole huge page
  // Not surely: what would be enough.
  std::optional<uint64_t> limit_kb;  // the group's limit, all else unchanged
  std::optional<uint64_t> less_kb;   // so much less data; each kB counts twice
  uint64_t short_kb = 0;             // at worst
  std::optional<uint64_t> more_kb;   // surely: so much more data would survive as well

  std::string_view answer_name() const;
};

// What else decides, of the host.
struct SaveHost {
  std::optional<uint64_t> available_kb, swap_free_kb;  // meminfo
  bool thp_always = false;  // /sys/kernel/mm/transparent_hugepage/enabled
};
SaveHost save_host(const SystemRoot& root);

SaveOutlook save_outlook(const LiveProcess& process, const SaveHost& host);

// As labelled lines for people, and what to do if it does not survive surely.
struct SaveTexts {
  std::string save;                // one sentence, the answer first
  std::vector<std::string> notes;  // huge pages, how full the group once was
  std::vector<std::string> advice;
  std::string growth;  // how much more data would survive
};
SaveTexts save_texts(const SaveOutlook& outlook, const LiveProcess& process);

}  // namespace ovc
