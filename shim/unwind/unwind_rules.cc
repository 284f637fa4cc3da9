// SPDX-License-Identifier: MIT
//
// Search, entry headers, and the call frame machine. Rules in this file: as backtrace.h; every loop
// ends with its cursor, whose extent is bounded by kMaxEntryBytes.
#include "shim/unwind/unwind_rules.h"

#include "shim/sys/sys.h"
#include "shim/unwind/byte_cursor.h"
#include "shim/unwind/memory.h"

namespace ovcshim {
namespace {

constexpr uint32_t kMaxEntryBytes = 1u << 20;
constexpr unsigned kMaxRemembered = 3;  // compilers nest one deep
constexpr unsigned kScanEntries = 32;   // the end of the binary search, read in one go

// Pointer encodings: low half the format, high half what it is relative to (LSB, DWARF extensions).
constexpr uint8_t kPointerRelative = 0x10, kDataSigned4 = 0x3b, kIndirect = 0x80, kOmitted = 0xff;

bool encoded_pointer(ByteCursor& cursor, uint8_t encoding, uint64_t& value) {
  uint64_t place = cursor.at();
  switch (encoding & 0x0f) {
    case 0x00:
    case 0x04:
    case 0x0c: value = cursor.fixed<uint64_t>(); break;
    case 0x01: value = cursor.uleb(); break;
    case 0x02: value = cursor.fixed<uint16_t>(); break;
    case 0x03: value = cursor.fixed<uint32_t>(); break;
    case 0x09: value = static_cast<uint64_t>(cursor.sleb()); break;
    case 0x0a: value = static_cast<uint64_t>(int64_t{cursor.fixed<int16_t>()}); break;
    case 0x0b: value = static_cast<uint64_t>(int64_t{cursor.fixed<int32_t>()}); break;
    default: return false;
  }
  uint8_t base = encoding & 0x70;
  if (base == kPointerRelative) value += place;
  return cursor.ok() && (base == 0 || base == kPointerRelative);
}

struct IndexEntry {
  int32_t place, fde;  // both relative to the start of .eh_frame_hdr
};

// First entry of the table and their number; they are in ascending order of place.
Found read_index(const Module& module, uint64_t& entries, uint64_t& count) {
  ByteCursor cursor(module.eh_frame_hdr, module.eh_frame_hdr + module.eh_frame_hdr_bytes);
  uint8_t version = cursor.u8(), section_encoding = cursor.u8(), count_encoding = cursor.u8(),
          table_encoding = cursor.u8();
  if (!cursor.ok()) return Found::kUnreadable;
  uint64_t section;
  if (version != 1 || table_encoding != kDataSigned4) return Found::kNo;
  if (!encoded_pointer(cursor, section_encoding, section) ||
      !encoded_pointer(cursor, count_encoding & 0x0f, count))
    return Found::kNo;
  entries = cursor.at();
  uint64_t room = (module.eh_frame_hdr + module.eh_frame_hdr_bytes - entries) / sizeof(IndexEntry);
  if (count > room) count = room;
  return Found::kYes;
}

struct Cie {
  uint64_t code_align;
  int64_t data_align;
  uint64_t program, end;
  uint8_t pointer_encoding;
  bool sized;         // 'z': entries have an augmentation part with a length
  bool signal_frame;  // 'S'
};

// Bounds of the entry at `at`, without its length field.
bool entry_bounds(uint64_t at, uint64_t& body, uint64_t& end) {
  uint32_t length;
  if (!copy_memory(&length, at, sizeof length)) return false;
  body = at + sizeof length;
  end = body + length;
  return length >= 4 &&
         length <= kMaxEntryBytes;  // 0 ends the section, ~0 announces 64-bit entries
}

bool augmentation(ByteCursor& cursor, const char* letters, Cie& cie) {
  for (; *letters; ++letters) {
    uint64_t personality;
    switch (*letters) {
      case 'R': cie.pointer_encoding = cursor.u8(); break;
      case 'L': cursor.u8(); break;
      case 'P':
        if (!encoded_pointer(cursor, static_cast<uint8_t>(cursor.u8() & ~kIndirect), personality))
          return false;
        break;
      case 'S': cie.signal_frame = true; break;
      case 'B': break;  // signed with the other key
      case 'G': break;  // a frame whose memory is tagged
      default: return false;
    }
  }
  return cursor.ok() && cie.pointer_encoding != kOmitted;
}

// Reads the augmentation string; false if longer than any known one.
template <unsigned kRoom>
bool letters_of(ByteCursor& cursor, char (&letters)[kRoom]) {
  for (unsigned i = 0; i < kRoom; ++i) {
    letters[i] = static_cast<char>(cursor.u8());
    if (letters[i] == 0) return cursor.ok();
  }
  return false;
}

bool read_cie(uint64_t at, Cie& cie) {
  uint64_t body;
  if (!entry_bounds(at, body, cie.end)) return false;
  ByteCursor cursor(body, cie.end);
  char letters[8];
  uint32_t id = cursor.fixed<uint32_t>();
  uint8_t version = cursor.u8();
  if (id != 0 || (version != 1 && version != 3) || !letters_of(cursor, letters)) return false;
  cie.code_align = cursor.uleb();
  cie.data_align = cursor.sleb();
  uint64_t return_register = version == 1 ? cursor.u8() : cursor.uleb();
  cie.pointer_encoding = 0;
  cie.signal_frame = false;
  cie.sized = letters[0] == 'z';
  if (cie.sized) {
    uint64_t bytes = cursor.uleb();
    cie.program = cursor.at() + bytes;
    if (!augmentation(cursor, letters + 1, cie)) return false;
  } else {
    cie.program = cursor.at();
    if (letters[0] != 0) return false;
  }
  return cursor.ok() && return_register == kReturnAddress && cie.program <= cie.end;
}

// Runs one call frame program up to the row that holds pc.
class FrameMachine {
 public:
  FrameMachine(const Cie& cie, UnwindRow& row, uint64_t begin, uint64_t pc)
      : cie_(cie), row_(row), now_(row.rules), place_(begin), pc_(pc) {}

  bool run(uint64_t at, uint64_t end) {
    ByteCursor cursor(at, end);
    while (!cursor.done() && place_ <= pc_) step(cursor);
    return cursor.ok() && good_;
  }
  void keep_initial() { sys::copy(initial_, now_.saves, sizeof initial_); }

 private:
  void step(ByteCursor& c) {
    uint8_t op = c.u8();
    uint64_t low = op & 0x3f;
    switch (op >> 6) {
      case 1: advance(low); break;
      case 2: set(low, Save::kAtCfa, scaled(c.uleb())); break;
      case 3: restore(low); break;
      default: good_ = good_ && (location(op, c) || cfa(op, c) || saved(op, c)); break;
    }
    if (!good_) c.fail();
  }

  // clang-format off
  bool location(uint8_t op, ByteCursor& c) {
    switch (op) {
      case 0x00: break;                                                                            // nop
      case 0x01: good_ = encoded_pointer(c, cie_.pointer_encoding, place_); break;                 // set_loc
      case 0x02: advance(c.u8()); break;                                                           // advance_loc1
      case 0x03: advance(c.fixed<uint16_t>()); break;                                              // advance_loc2
      case 0x04: advance(c.fixed<uint32_t>()); break;                                              // advance_loc4
      case 0x0a: remember(); break;                                                                // remember_state
      case 0x0b: recall(); break;                                                                  // restore_state
      case 0x2e: c.uleb(); break;                                                                  // GNU_args_size
#if defined(__aarch64__)
      case 0x2d: break;                                                                            // negate_ra_state: see backtrace.cc
#endif
      default: return false;
    }
    return true;
  }

  bool cfa(uint8_t op, ByteCursor& c) {
    switch (op) {
      case 0x0c: cfa_register(c.uleb()); cfa_offset(static_cast<int64_t>(c.uleb())); break;        // def_cfa
      case 0x0d: cfa_register(c.uleb()); break;                                                    // def_cfa_register
      case 0x0e: cfa_offset(static_cast<int64_t>(c.uleb())); break;                                // def_cfa_offset
      case 0x0f: now_.cfa_value = block(c); now_.cfa_is_expression = true; break;                  // def_cfa_expression
      case 0x12: cfa_register(c.uleb()); cfa_offset(scaled(static_cast<uint64_t>(c.sleb()))); break;  // def_cfa_sf
      case 0x13: cfa_offset(scaled(static_cast<uint64_t>(c.sleb()))); break;                       // def_cfa_offset_sf
      default: return false;
    }
    return true;
  }

  bool saved(uint8_t op, ByteCursor& c) {
    uint64_t reg = c.uleb();
    switch (op) {
      case 0x05: set(reg, Save::kAtCfa, scaled(c.uleb())); break;                                  // offset_extended
      case 0x06: restore(reg); break;                                                              // restore_extended
      case 0x07: set(reg, Save::kUndefined, 0); break;                                             // undefined
      case 0x08: set(reg, Save::kSame, 0); break;                                                  // same_value
      case 0x09: in_register(reg, c.uleb()); break;                                                // register
      case 0x10: set(reg, Save::kAtExpression, block(c)); break;                                   // expression
      case 0x11: set(reg, Save::kAtCfa, scaled(static_cast<uint64_t>(c.sleb()))); break;           // offset_extended_sf
      case 0x14: set(reg, Save::kIsCfa, scaled(c.uleb())); break;                                  // val_offset
      case 0x15: set(reg, Save::kIsCfa, scaled(static_cast<uint64_t>(c.sleb()))); break;           // val_offset_sf
      case 0x16: set(reg, Save::kIsExpression, block(c)); break;                                   // val_expression
      case 0x2f: set(reg, Save::kAtCfa, -scaled(c.uleb())); break;                                 // GNU_negative_offset_extended
      default: return false;
    }
    return true;
  }
  // clang-format on

  static bool is_kept(uint64_t reg) { return reg >= kFirstSaved && reg < kRegisters; }
  void advance(uint64_t delta) { place_ += delta * cie_.code_align; }
  int64_t scaled(uint64_t factor)
      const {  // wraps instead of overflowing; set() and cfa_offset() refuse what is out of range
    int64_t value = static_cast<int64_t>(factor * static_cast<uint64_t>(cie_.data_align));
    return value < -kMaxSaveValue || value > kMaxSaveValue ? kMaxSaveValue + 1 : value;
  }
  void set(uint64_t reg, Save save, int64_t value) {
    good_ = good_ && value >= -kMaxSaveValue && value <= kMaxSaveValue;
    if (!is_kept(reg) || !good_) return;  // vector registers and the like do not concern us
    now_.saves[reg - kFirstSaved].word = static_cast<uint32_t>(save) | static_cast<uint32_t>(value)
                                                                           << 3;
  }
  void in_register(uint64_t reg, uint64_t other) {
    good_ = good_ && other < kRegisters;
    set(reg, Save::kInRegister, static_cast<int64_t>(other & 31));
  }
  void restore(uint64_t reg) {
    if (is_kept(reg)) now_.saves[reg - kFirstSaved] = initial_[reg - kFirstSaved];
  }
  void cfa_register(uint64_t reg) {
    good_ = good_ && reg < kRegisters;
    now_.cfa_register = static_cast<uint32_t>(reg);
    now_.cfa_is_expression = false;
  }
  void cfa_offset(int64_t offset) {
    good_ = good_ && offset >= -kMaxSaveValue && offset <= kMaxSaveValue && !now_.cfa_is_expression;
    now_.cfa_value = offset;
  }
  int64_t block(ByteCursor& c) {  // the place of its length, relative to the entry
    int64_t place = static_cast<int64_t>(c.at() - row_.fde);
    c.skip(c.uleb());
    good_ = good_ && place >= -kMaxSaveValue && place <= kMaxSaveValue;
    return place;
  }
  void remember() {
    good_ = good_ && depth_ < kMaxRemembered;
    if (good_) sys::copy(&remembered_[depth_++], &now_, sizeof now_);
  }
  void recall() {
    good_ = good_ && depth_ > 0;
    if (good_) sys::copy(&now_, &remembered_[--depth_], sizeof now_);
  }

  const Cie& cie_;
  UnwindRow& row_;
  FrameRules& now_;
  uint64_t place_, pc_;
  unsigned depth_ = 0;
  bool good_ = true;
  SaveRule initial_[kRegisters - kFirstSaved]{};
  FrameRules remembered_[kMaxRemembered];
};

struct Fde {
  Cie cie;
  uint64_t begin, range, program, end;
};

// Not inlined, so that its windows are off the stack when the machine runs.
[[gnu::noinline]] bool read_fde(uint64_t at, Fde& fde) {
  uint64_t body;
  if (!entry_bounds(at, body, fde.end)) return false;
  ByteCursor cursor(body, fde.end);
  uint32_t back = cursor.fixed<uint32_t>();  // from here to the CIE; 0 would make this a CIE
  if (back == 0 || !read_cie(body - back, fde.cie)) return false;
  if (!encoded_pointer(cursor, fde.cie.pointer_encoding, fde.begin)) return false;
  if (!encoded_pointer(cursor, fde.cie.pointer_encoding & 0x0f, fde.range)) return false;
  if (fde.cie.sized) cursor.skip(cursor.uleb());
  fde.program = cursor.at();
  return cursor.ok();
}

}  // namespace

Found find_fde(const Module& module, uint64_t pc, uint64_t& fde) {
  uint64_t entries, low = 0, high;
  Found index = module.eh_frame_hdr ? read_index(module, entries, high) : Found::kNo;
  if (index != Found::kYes) return index;
  int64_t wanted = static_cast<int64_t>(pc - module.eh_frame_hdr);
  auto entry = [&](uint64_t i) { return entries + i * sizeof(IndexEntry); };
  while (high - low > kScanEntries) {  // entry `low` begins at or before pc, entry `high` behind
                                       // it, if they do at all
    uint64_t middle = (low + high) / 2;
    IndexEntry probe;
    if (!copy_memory(&probe, entry(middle), sizeof probe)) return Found::kUnreadable;
    (probe.place <= wanted ? low : high) = middle;
  }
  IndexEntry scan[kScanEntries];
  if (!copy_memory(scan, entry(low), (high - low) * sizeof(IndexEntry))) return Found::kUnreadable;
  uint64_t n = high - low;
  while (n > 0 && scan[n - 1].place > wanted) --n;
  if (n == 0) return Found::kNo;
  fde = module.eh_frame_hdr + static_cast<uint64_t>(int64_t{scan[n - 1].fde});
  return Found::kYes;
}

// An entry that cannot be read is not told from one that makes no sense: both happen only to
// foreign or vanished modules.
Found read_row(uint64_t at, uint64_t pc, UnwindRow& row) {
  Fde fde;
  if (!read_fde(at, fde)) return Found::kUnreadable;
  if (pc - fde.begin >= fde.range) return Found::kNo;
  sys::zero(&row, sizeof row);
  row.fde = at;
  row.fde_end = fde.end;
  row.signal_frame = fde.cie.signal_frame;
  FrameMachine machine(fde.cie, row, fde.begin, pc);
  if (!machine.run(fde.cie.program, fde.cie.end)) return Found::kNo;
  machine.keep_initial();
  return machine.run(fde.program, fde.end) ? Found::kYes : Found::kNo;
}

}  // namespace ovcshim
