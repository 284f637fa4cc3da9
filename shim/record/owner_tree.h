// SPDX-License-Identifier: MIT
//
// The tree of owners of one process, and the changes of its words: OWNERS of growth_format.h. A
// change is an object with next(word), what a word becomes, and done(old, now, first, end) once
// that stands there for pages [first, end). Words that stay as they are divide no table.
#pragma once
#include "shim/record/state.h"

namespace ovcshim {

// No table twice: else the log was scribbled over, and a walk would not end.
class OwnerWalk {
 public:
  explicit OwnerWalk(ProcessSpace& space) : space_(space), left_(g.growth.table_count) {}

  template <typename Change>
  void change(uint64_t first, uint64_t end, Change& change) {
    if (OwnerTable* leaf = known_leaf(first, end))
      return change_table(*leaf, 0, first & ~uint64_t{kOwnerWords - 1}, first, end, change);
    OwnerTable* root = table_of(__atomic_load_n(&space_.root, __ATOMIC_ACQUIRE));
    if (root) change_table(*root, kOwnerLevels - 1, 0, first, end, change);
  }
  // each(first, end, word) of all pages in the range, unrecorded ones too.
  template <typename Each>
  void read(uint64_t first, uint64_t end, Each each) {
    OwnerTable* root = table_of(__atomic_load_n(&space_.root, __ATOMIC_ACQUIRE));
    if (root) read_table(*root, kOwnerLevels - 1, 0, first, end, each);
    else if (first < end) each(first, end, uint32_t{0});
  }

 private:
  // From a number + 1, whatever stands in the log.
  OwnerTable* table_of(uint32_t number) {
    if (number == 0 || number > g.growth.table_count || left_ == 0) return nullptr;
    --left_;
    return g.growth.tables + (number - 1);
  }
  // A word that leads to a table does so as long as its process lives: where the lowest tables of
  // the places that were changed lately are is kept, and no way down to them is walked again. Whose
  // pages in the upper half, its number + 1 in the lower. Release and acquire: the table's words
  // stand before its number is met.
  static uint64_t& place_of(uint64_t page) {
    return g_private->leaves[(page >> kOwnerBits) % kKnownLeaves];
  }
  static OwnerTable* known_leaf(uint64_t first, uint64_t end) {
    const uint64_t known = __atomic_load_n(&place_of(first), __ATOMIC_ACQUIRE);
    const bool there = known && known >> 32 == first >> kOwnerBits &&
                       (end - 1) >> kOwnerBits == first >> kOwnerBits;
    return there ? g.growth.tables + (static_cast<uint32_t>(known) - 1) : nullptr;
  }
  static void know_leaf(uint64_t page, const OwnerTable& table) {
    const auto number = static_cast<uint64_t>(&table - g.growth.tables) + 1;
    __atomic_store_n(&place_of(page), page >> kOwnerBits << 32 | number, __ATOMIC_RELEASE);
  }
  void lost() {
    count(space_.missing);
    count(g.growth.header->tables_missing);
  }

  template <typename Change>
  void change_table(OwnerTable& table, unsigned level, uint64_t base, uint64_t first, uint64_t end,
                    Change& change) {
    const uint64_t each = owner_pages(level);
    for (uint64_t i = (first - base) / each; i < kOwnerWords; ++i) {
      const uint64_t from = base + i * each, to = from + each;
      if (from >= end) return;
      change_word(table.words[i], level, from, first > from ? first : from, end < to ? end : to,
                  change);
    }
  }
  // Acquire: the table's words stand before the word that leads to it (divide), and the row before
  // the word that names it.
  template <typename Change>
  void change_word(uint32_t& word, unsigned level, uint64_t from, uint64_t first, uint64_t end,
                   Change& change) {
    for (;;) {
      uint32_t there = __atomic_load_n(&word, __ATOMIC_ACQUIRE);
      if (there & kOwnerTable) {
        OwnerTable* below = level ? table_of(there & ~kOwnerTable) : nullptr;
        if (!below) return lost();
        if (level == 1) know_leaf(from, *below);
        return change_table(*below, level - 1, from, first, end, change);
      }
      const uint32_t next = change.next(there);
      if (next == there) return;
      if (end - first != owner_pages(level)) {
        if (!divide(word, there)) return lost();
      } else if (__atomic_compare_exchange_n(&word, &there, next, false, __ATOMIC_RELEASE,
                                             __ATOMIC_RELAXED)) {
        return change.done(there, next, first, end);
      }
    }
  }
  static bool divide(uint32_t& word, uint32_t there);

  template <typename Each>
  void read_table(OwnerTable& table, unsigned level, uint64_t base, uint64_t first, uint64_t end,
                  Each& each) {
    const uint64_t pages = owner_pages(level);
    for (uint64_t i = (first - base) / pages; i < kOwnerWords; ++i) {
      const uint64_t from = base + i * pages, to = from + pages;
      if (from >= end) return;
      const uint64_t low = first > from ? first : from, high = end < to ? end : to;
      const uint32_t word = __atomic_load_n(&table.words[i], __ATOMIC_ACQUIRE);
      if (!(word & kOwnerTable)) each(low, high, word);
      else if (OwnerTable* below = level ? table_of(word & ~kOwnerTable) : nullptr; below)
        read_table(*below, level - 1, from, low, high, each);
    }
  }

  ProcessSpace& space_;
  uint64_t left_;
};

}  // namespace ovcshim
