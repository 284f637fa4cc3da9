// SPDX-License-Identifier: MIT
#include "tools/log/log_growth.h"

#include <cstring>

namespace ovc {

using namespace ovcshim;

template <typename Struct>
Struct GrowthLog::copy(uint64_t offset) const {
  Struct copied;
  std::memcpy(&copied, log_.growth_bytes(offset, sizeof copied), sizeof copied);
  return copied;
}

GrowthLog::GrowthLog(const LogReader& log) : log_(log) {
  const FileHeader& h = log.header();
  processes_ = h.processes.bytes / sizeof(ProcessSlot);
  layout_ = growth_layout(h.growth.bytes, processes_);
  if (is_there()) header_ = copy<GrowthHeader>(0);
}

std::optional<TotalsRow> GrowthLog::row(uint32_t number) const {
  if (number >= layout_.row_count) return std::nullopt;
  const auto there = copy<CallTotals>(layout_.rows + number * sizeof(CallTotals));
  __atomic_thread_fence(__ATOMIC_ACQUIRE);  // the stack that the key names is read after it
  const uint32_t op = totals_op(there.key);
  if (!(there.key & kTotalsValid) || op == 0 || op >= static_cast<uint32_t>(Op::kCallOps))
    return std::nullopt;
  return TotalsRow{number,
                   totals_stack(there.key),
                   totals_kind(there.key),
                   static_cast<Op>(op),
                   there.calls,
                   there.failed,
                   there.asked_bytes,
                   there.failed_bytes,
                   there.granted_bytes,
                   there.last_tick};
}

std::vector<TotalsRow> GrowthLog::rows_that(bool are_sampled) const {
  std::vector<TotalsRow> all;
  for (uint32_t i = 0; i < layout_.row_count; ++i)
    if (auto found = row(i); found && ((found->kind & kKindSampled) != 0) == are_sampled)
      all.push_back(*found);
  return all;
}

std::vector<TotalsRow> GrowthLog::rows() const { return rows_that(false); }
std::vector<TotalsRow> GrowthLog::sampled() const { return rows_that(true); }

// Valid if its check is that of the frames that stand there.
std::optional<KnownStack> GrowthLog::stack(uint32_t number) const {
  if (number >= layout_.index_words) return std::nullopt;
  const auto word = copy<uint64_t>(layout_.index + number * sizeof(uint64_t));
  const uint64_t frames = stack_frames(word), place = stack_place(word);
  if (frames == 0 || place + 1 + frames > layout_.arena_words) return std::nullopt;
  KnownStack found{0, std::vector<uint64_t>(frames), stack_cut(word)};
  const uint64_t offset = layout_.arena + place * sizeof(uint64_t);
  found.image = static_cast<uint32_t>(copy<uint64_t>(offset));
  std::memcpy(found.frames.data(),
              log_.growth_bytes(offset + sizeof(uint64_t), frames * sizeof(uint64_t)),
              frames * sizeof(uint64_t));
  if (stack_hash(found.image, found.frames.data(), frames, found.cut) != stack_check(word))
    return std::nullopt;
  return found;
}

// What the newest list said is only as whole as seq is even and the same before and after.
std::optional<ProcessSpace> GrowthLog::space(uint32_t index, uint32_t serial) const {
  if (!is_there() || index >= processes_) return std::nullopt;
  const uint64_t offset = layout_.spaces + index * sizeof(ProcessSpace);
  auto found = copy<ProcessSpace>(offset);
  if (found.serial != serial) return std::nullopt;
  const auto again = copy<ProcessSpace>(offset);
  if ((found.seq & 1) || again.seq != found.seq) found.newest = found.first;
  return found;
}

void GrowthLog::add_word(OwnedPages& found, uint32_t word, unsigned level, Seen& seen) const {
  if (word & kOwnerTable) {
    if (level == 0) found.exact = false;
    else add_owned(found, word & ~kOwnerTable, level - 1, seen);
    return;
  }
  const uint32_t value = owner_value(word);
  if (value > layout_.row_count) found.exact = false;
  else if (value != 0) found.kb[value - 1] += owner_pages(level) << kOwnerPageShift >> 10;
}

void GrowthLog::add_owned(OwnedPages& found, uint32_t table, unsigned level, Seen& seen) const {
  if (table == 0 || table > layout_.table_count || seen[table - 1]) {
    found.exact = false;
    return;
  }
  seen[table - 1] = true;
  const auto words = copy<OwnerTable>(layout_.tables + (table - 1) * sizeof(OwnerTable));
  for (const uint32_t word : words.words) add_word(found, word, level, seen);
}

OwnedPages GrowthLog::owned(const ProcessSpace& space) const {
  OwnedPages found;
  found.exact = space.missing == 0;
  Seen seen(layout_.table_count);
  if (space.root != 0) add_owned(found, space.root, kOwnerLevels - 1, seen);
  return found;
}

}  // namespace ovc
