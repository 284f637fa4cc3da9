// SPDX-License-Identifier: MIT
//
// Builds logs for tests: valid ones from structs, by the same specification as the shim but
// independently of it, and then damaged in every way that has a name.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "shim/format/growth_format.h"
#include "shim/format/log_format.h"
#include "shim/format/memory_format.h"
#include "tools/log/log_reader.h"

namespace ovc::test {

// A record of the call lane, as its writer has it.
struct LaneRecord {
  ovcshim::Op op = ovcshim::Op::kMalloc;
  uint64_t address = 0, size = 0, caller = 0;
  uint64_t align_log2 = 0;
  bool hole = false;  // a call whose thread was interrupted: word stays 0
};

struct LaneChunk {
  uint32_t pid = 100, tid = 100;
  uint64_t claim = 0, first_seq = 0, opened_tick = 1000;
  uint64_t ticks_per_group = 100;
  std::vector<LaneRecord> records;
};

class LogBuilder {
 public:
  // Without vital slots it is a log of format version 1.
  explicit LogBuilder(uint64_t event_slots = 64, uint64_t chunks = 8, uint64_t vital_slots = 0);
  ~LogBuilder();
  LogBuilder(const LogBuilder&) = delete;
  LogBuilder& operator=(const LogBuilder&) = delete;

  ovcshim::FileHeader& header();
  ovcshim::ProcessSlot& process(size_t index);
  ovcshim::Stripe& stripe(size_t index);
  ovcshim::RetiredTotals& retired(size_t version);
  ovcshim::Slot& slot(uint64_t position);

  uint64_t put(const Event& event);  // position of the record; wraps like the shim does
  uint64_t put_vital(const Event& event);
  void wrap();         // puts records until the first ones are overwritten
  void tear_last();    // its writer died while it copied
  void update_last();  // its owner is just completing it
  void void_last();    // its claimer gave it up
  void put_chunk(size_t index, const LaneChunk& chunk);

  // In the totals by stack of a log with vitals: a stack of image 1 with its row, and the first
  // process's pages from `page` on, which it brought. Returns the row's number.
  uint32_t put_grower(const std::vector<uint64_t>& frames, const ovcshim::CallTotals& totals,
                      uint32_t kind, uint64_t page, uint64_t pages);
  ovcshim::ProcessSpace& space(size_t index);
  ovcshim::GrowthHeader& growth_header();
  // In its memory ring: a context of pid 100, the first process's, and a call of the row, which is
  // mmap's, munmap's or mprotect's. Position of the call.
  uint64_t put_memory(uint32_t row, uint64_t page, uint64_t pages, uint32_t tid, uint64_t tick);
  ovcshim::MemoryUnit& unit(uint64_t count);

  void flip_byte(uint64_t offset, unsigned char mask = 0xff);
  void truncate(uint64_t bytes);
  std::vector<unsigned char>& bytes() { return bytes_; }

  const std::string&
  write();  // path of a file in memory that lives as long as this; for children, too

 private:
  uint64_t put_at(const Event& event, uint64_t& cursor, uint64_t mark);
  template <typename Struct>
  Struct& at(uint64_t offset) {
    return *reinterpret_cast<Struct*>(bytes_.data() + offset);
  }
  std::vector<unsigned char> bytes_;
  std::string path_;
  ovcshim::GrowthLayout growth();
  uint32_t& owner_word(uint64_t page);
  int fd_ = -1;
  uint64_t last_ = 0;
  uint32_t stacks_ = 0, tables_ = 0;
};

// An event of pid 100, returned without failure.
Event make_event(ovcshim::Op op, uint64_t begin_tick = 1000, uint64_t end_tick = 1010);
// Every kind of list in it; takes three slots.
Event make_snapshot();
Event make_module(uint32_t image, uint64_t start, uint64_t end, uint64_t bias,
                  const std::string& build_id, const std::string& path);
void set_args(Event& event, std::initializer_list<uint64_t> args);

}  // namespace ovc::test
