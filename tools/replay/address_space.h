// SPDX-License-Identifier: MIT
//
// An address space as the kernel keeps it, replayed from recorded calls: which mappings there are,
// what each is charged, which call made it, and which of them the kernel has merged into one. A
// pure data structure: it knows no log.
//
// What a record cannot tell (was the memory ever written to?) is carried on as kOpen: both are
// possible, and the sums are then bounds. What is charged is decided by commit_rules alone; what
// merges by address_space_merge.cc.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "shim/format/log_format.h"
#include "tools/log/log_reader.h"
#include "tools/rules/commit_rules.h"

namespace ovc {

enum class Sure : uint8_t { kNo, kYes, kOpen };  // kOpen: both are possible
constexpr Sure sure(bool value) { return value ? Sure::kYes : Sure::kNo; }
constexpr Sure either(Sure a, Sure b) {
  return a == Sure::kYes || b == Sure::kYes ? Sure::kYes
         : a == Sure::kNo && b == Sure::kNo ? Sure::kNo
                                            : Sure::kOpen;
}

// Marks of a mapping that smaps does not list in MappingEntry but that keep mappings apart.
enum AdviceFlag : uint32_t {
  kAdviceHuge = 1 << 0,
  kAdviceNoHuge = 1 << 1,
  kAdviceSequential = 1 << 2,
  kAdviceRandom = 1 << 3,
  kAdviceMergeable = 1 << 4,
  kAdviceStack = 1 << 5,  // MAP_STACK: means kAdviceNoHuge since 6.7, if the kernel has huge pages
  kAdviceUnknown = 1 << 6,  // known from a list only, long after the image began
};

// Which side of a boundary a call has changed or moved; kNeither: one of them is new.
enum class Changed : uint8_t { kNeither, kLeft, kRight };

// A range with one history. The kernel's mapping is a run of pieces that are joined.
struct Piece {
  uint64_t start = 0, end = 0;
  uint32_t flags = 0;          // MappingFlag, without kMapAc and kMapNr
  uint32_t advice = 0;         // AdviceFlag
  Sure charged = Sure::kNo;    // ac
  Sure noreserve = Sure::kNo;  // nr
  Sure touched = Sure::kNo;    // was ever written to: the kernel has an anon_vma for it
  Sure inherited = Sure::kNo;  // that anon_vma came from the parent
  Sure joined = Sure::kNo;     // one mapping with the next piece
  uint64_t object = 0;         // not 0: which mapping of a file, or which shared memory
  uint64_t offset =
      0;  // of `start` in it; of anonymous memory, the address it was made for; kUnknown
  uint64_t family = 0;  // not 0: pieces with the same number certainly share their anon_vma
  uint64_t made_by =
      ovcshim::kUnknown;  // position of the call's record; kUnknown: known from a list only
  uint64_t charged_by =
      ovcshim::kUnknown;  // position of the mprotect that had it charged later; kUnknown: none

  uint64_t kb() const { return (end - start) / 1024; }
  bool has(uint32_t flag) const { return (flags & flag) != 0; }
  bool is_private_anonymous() const {
    return !has(ovcshim::kMapShared | ovcshim::kMapFile | ovcshim::kMapSpecial);
  }
};

struct Bounds {
  uint64_t low = 0, high = 0;
  bool exact() const { return low == high; }
  bool operator==(const Bounds&) const = default;
};

// Figures in kB.
struct SpaceTotals {
  Bounds charged;  // counted in the commit limit
  Bounds at_fork;  // of it, counted once more by a fork
  uint64_t noreserve = 0;
  uint64_t shared_promised = 0;  // shared anonymous memory, charged in full when it was mapped
  uint64_t shared_unknown = 0;   // shared mappings known from lists only: files, or shared memory
  uint64_t size = 0;             // VmSize
  uint64_t data = 0;             // VmData and VmStk: private and writable, or growing downwards
  Bounds biggest;                // of the mappings that are charged
  uint64_t biggest_start = 0;    // of the one that gives biggest.low
};

// One mapping of the kernel, as far as it is certain that its pieces are one.
struct Mapping {
  std::vector<Piece> pieces;
  Sure more_before = Sure::kNo, more_behind = Sure::kNo;  // may be one with its neighbour
  uint64_t start() const { return pieces.front().start; }
  uint64_t end() const { return pieces.back().end; }
};

// Whether these are mappings as /proc/PID/smaps lists them: each with an end above its start, none
// below the one before it. A damaged log may say anything.
bool in_order(std::span<const ovcshim::MappingEntry> list);

class AddressSpace {
 public:
  explicit AddressSpace(const HostRules& rules) : rules_(rules) {}

  void set_mode(std::optional<uint64_t> mode) { rules_.mode = mode; }
  // Is RLIMIT_DATA set, or not known?
  void set_data_limited(bool limited) { data_limited_ = limited; }
  // Where the heap begins, as the image's start record says.
  void set_heap_start(std::optional<uint64_t> address) { heap_start_ = address; }
  // A call of the mmap family that has returned. Others change nothing.
  void apply(const Event& event);
  // What a granted mremap moves or cuts off is gone from the moment it begins: another thread's
  // call may have had the place before it ended. apply() then puts it where it went.
  static bool gives_back(const Event& event);
  void leave(const Event& event);
  bool is_carried(const Event& event) const { return carried_.contains(event.position); }
  // The kernel's own list replaces what was thought; calls that made its mappings stay known where
  // they fit.
  void rebase(std::span<const ovcshim::MappingEntry> list, bool image_start);
  // A call that the list which was taken over may show already (list_among_calls.h).
  void reapply(const Event& event);
  // What lies there is gone; is what a list shows there; is what it is in another.
  void forget(uint64_t start, uint64_t end) { remove(start, end); }
  void take_over(uint64_t start, uint64_t end, std::span<const ovcshim::MappingEntry> list);
  void take_over(uint64_t start, uint64_t end, const AddressSpace& other);
  // VmStk: moves the lower end of the stack. False if there is not exactly one mapping that grows
  // downwards.
  bool set_stack_kb(uint64_t kb);
  // What fork makes of it in the child.
  AddressSpace forked() const;

  SpaceTotals totals() const;
  // The part of the address space that this call may change when it is granted: what it changes
  // elsewhere is no charge. For the difference that a call made without a walk over all of a
  // process with ten thousands of mappings.
  using Ranges = std::vector<std::pair<uint64_t, uint64_t>>;
  Ranges reach(const Event& event) const;
  SpaceTotals totals_in(const Ranges& ranges) const;  // size, charged and shared_promised only
  std::vector<Mapping> mappings() const;
  // Calls that cannot have done what the replay made of them: memory came or went that no record
  // tells of.
  uint64_t contradictions() const { return contradictions_; }
  uint64_t unclear_failures() const {
    return unclear_failures_;
  }  // refused calls that may have done a part of their work
  bool empty() const { return pieces_.empty(); }

 private:
  using Pieces = std::map<uint64_t, Piece>;  // by start
  struct SharedMemory {
    uint64_t kb = 0;
  };

  // address_space.cc: what calls do
  bool is_possible(const Event& event) const;
  void apply_mmap(const Event& event);
  void apply_mprotect(const Event& event);
  void apply_madvise(const Event& event);
  void apply_brk(uint64_t new_break, uint64_t position);
  void break_was(uint64_t address);
  void protect(Piece& piece, uint32_t prot);
  Piece new_piece(const Event& event, uint64_t bytes);
  void remove(uint64_t start, uint64_t end);
  void insert(const Piece& piece);
  uint64_t mapped_until(uint64_t start) const;
  void protect_range(uint64_t start, uint64_t end, uint64_t prot);
  void advise_range(uint64_t start, uint64_t end, uint64_t advice);
  template <typename Change>
  void change(uint64_t start, uint64_t end, Change what);
  uint64_t page_up(uint64_t bytes) const;
  uint64_t mapping_bytes(const Event& event) const;

  // address_space_moves.cc
  void apply_mremap(const Event& event);
  struct Carried {
    std::vector<Piece> pieces;
    bool known = false;  // all of it was there
  };
  Carried take(uint64_t start, uint64_t bytes, bool keep);
  void put(Carried carried, uint64_t old_start, uint64_t new_start, uint64_t bytes);
  void fill_untold(uint64_t start, uint64_t bytes);
  void extend(uint64_t at, uint64_t bytes, uint64_t position);

  // address_space_refused.cc
  void apply_failure(const Event& event);
  void apply_refused_mprotect(const Event& event);
  void apply_refused_madvise(const Event& event);
  void doubt(uint64_t start, uint64_t end);

  // address_space_whole.cc: lists
  void remember(Piece& piece, const Piece& known) const;
  void take_listed(const Piece& listed, Pieces& known);
  void take_break(std::span<const ovcshim::MappingEntry> list);

  // address_space_merge.cc: what is one mapping
  Sure can_join(const Piece& a, const Piece& b, Changed changed = Changed::kNeither) const;
  Sure same_backing(const Piece& a, const Piece& b) const;
  void split(uint64_t address);
  void settle(uint64_t boundary, Changed changed = Changed::kNeither);
  void settle_heap(uint64_t start, uint64_t end);
  Sure is_heap_below(uint64_t heap_end) const;
  void part(uint64_t boundary);
  void settle_changed(uint64_t boundary, bool left_changed, bool right_changed);
  void share_history(Pieces::iterator left, Pieces::iterator right);
  void age();

  HostRules rules_;
  bool data_limited_ = true;
  Pieces pieces_;
  std::map<uint64_t, Carried> carried_;      // by position of the call that has not ended
  std::map<uint64_t, SharedMemory> shared_;  // by object
  std::vector<std::pair<uint64_t, uint64_t>>
      fresh_;                      // ranges that became writable by the last call
  std::optional<uint64_t> break_;  // program break
  std::optional<uint64_t> heap_start_;
  uint64_t heap_start_at_most_ = UINT64_MAX;  // by lists and by the breaks that calls have told
  uint64_t now_ = ovcshim::kUnknown;          // position of the call being applied
  uint64_t next_object_ = 1, next_family_ = 1, contradictions_ = 0, unclear_failures_ = 0;
};

}  // namespace ovc
