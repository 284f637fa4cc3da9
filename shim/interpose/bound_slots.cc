// SPDX-License-Identifier: MIT
//
// See bound_slots.h.
#include "shim/interpose/bound_slots.h"

#include <elf.h>

#include "shim/libc/code_writer.h"
#include "shim/libc/loaded_libc.h"
#include "shim/providers/providers.h"
#include "shim/record/state.h"
#include "shim/sys/loaded_objects.h"

namespace ovcshim {
namespace {

// ---- the functions

struct Function {
  const char* name;
  uint64_t real, ours;  // 0: there is none
  bool only_one;        // defined by one object but the shim
};
constexpr unsigned kFunctions = 0
#define MALLOC(symbol) +1
#include "shim/providers/malloc_family.def"
#undef MALLOC
    ;
struct Functions {
  Function list[kFunctions];
};

bool defines(const ObjectTables& tables, const char* name) {
  const Elf64_Sym* symbol = find_symbol(tables, name);
  return symbol && symbol->st_shndx != SHN_UNDEF;
}

void note_object(Function& function, const link_map& object, unsigned& definitions) {
  const ObjectTables tables = tables_of(object);
  if (!defines(tables, function.name)) return;
  if (object.l_ld == _DYNAMIC)
    function.ours = tables.base + find_symbol(tables, function.name)->st_value;
  else ++definitions;
}

void find_function_in_all(Function& function) {
  unsigned definitions = 0;
  for (const link_map* object = first_object(); object; object = object->l_next)
    note_object(function, *object, definitions);
  function.only_one = definitions == 1;
}

Functions find_functions() {
  Functions found{{
#define MALLOC(symbol) {#symbol, reinterpret_cast<uint64_t>(next.symbol), 0, false},
#include "shim/providers/malloc_family.def"
#undef MALLOC
  }};
  for (Function& function : found.list) find_function_in_all(function);
  return found;
}

// ---- the slots

struct Place {
  uint64_t* at;
  const Function* function;
  bool late;  // not bound yet; to that function alone, if `certain`
  bool certain;
};

struct Module {
  ObjectTables tables;
  Relocations relocations;
  bool of_the_start;         // its calls look through the program's own objects first
  uint64_t last_symbol = 0;  // relocations are sorted by symbol: most name the one before's
  const Function* last_named = nullptr;
};

bool same_text(const char* a, const char* b) {
  for (; *a == *b; ++a, ++b)
    if (!*a) return true;
  return false;
}

const Function* function_named(const Functions& all, const char* name) {
  for (const Function& function : all.list)
    if (same_text(function.name, name)) return &function;
  return nullptr;
}

const Function* function_of(const Functions& all, Module& module, uint64_t symbol) {
  if (symbol == module.last_symbol) return module.last_named;
  const char* name = module.tables.names + module.tables.symbols[symbol].st_name;
  module.last_symbol = symbol;
  return module.last_named = function_named(all, name);
}

// Does the slot hold what the linker has put there to be bound at the first call? `value` is code
// that can be read, 16 bytes of it.
#if defined(__aarch64__)

// The one entry for all of them: stp x16, x30, [sp, #-16]!; adrp x16, page, behind a bti c or not.
bool is_late_code(const unsigned char* code, uint64_t) {
  const auto word = [code](unsigned i) {
    return uint32_t{code[4 * i]} | uint32_t{code[4 * i + 1]} << 8 |
           uint32_t{code[4 * i + 2]} << 16 | uint32_t{code[4 * i + 3]} << 24;
  };
  constexpr uint32_t kBti = 0xd503245f, kPush = 0xa9bf7bf0, kPage = 0x90000010;
  const unsigned first = word(0) == kBti;
  return word(first) == kPush && (word(first + 1) & 0x9f00001f) == kPage;
}
constexpr uint32_t kJumpSlot = R_AARCH64_JUMP_SLOT, kGlobal = R_AARCH64_GLOB_DAT,
                   kPointer = R_AARCH64_ABS64;

#else

// An entry of the table of calls that pushes this relocation's number, behind an endbr64 or not.
bool is_late_code(const unsigned char* code, uint64_t index) {
  constexpr unsigned char kEndbr[] = {0xf3, 0x0f, 0x1e, 0xfa};
  bool marked = true;
  for (unsigned i = 0; i < sizeof kEndbr; ++i) marked = marked && code[i] == kEndbr[i];
  if (marked) code += sizeof kEndbr;
  uint32_t pushed = 0;
  for (unsigned i = 0; i < sizeof pushed; ++i) pushed |= uint32_t{code[1 + i]} << 8 * i;
  return code[0] == 0x68 && pushed == index;
}
constexpr uint32_t kJumpSlot = R_X86_64_JUMP_SLOT, kGlobal = R_X86_64_GLOB_DAT,
                   kPointer = R_X86_64_64;

#endif

bool is_late(const Module& module, uint64_t value, uint64_t index) {
  if (!module.relocations.bound_when_called) return false;
  constexpr uint64_t kPageEnd = 4096 - 16;
  if (!sys::readable(reinterpret_cast<const void*>(value)) || (value & 4095) > kPageEnd)
    return false;
  return is_late_code(reinterpret_cast<const unsigned char*>(value), index);
}

template <typename Visit>
void visit_relocation(const Functions& all, Module& module, const Elf64_Rela& relocation,
                      uint64_t index, Visit visit) {
  const auto kind = static_cast<uint32_t>(ELF64_R_TYPE(relocation.r_info));
  if (kind != kJumpSlot && kind != kGlobal && kind != kPointer) return;
  if (kind == kPointer && relocation.r_addend != 0) return;
  const Function* function = function_of(all, module, ELF64_R_SYM(relocation.r_info));
  if (!function || !function->real || !function->ours) return;
  auto* at = reinterpret_cast<uint64_t*>(module.tables.base + relocation.r_offset);
  if (!sys::readable(at)) return;
  const bool late = kind == kJumpSlot && is_late(module, *at, index);
  const bool certain =
      function->only_one || (module.of_the_start && !defines(module.tables, function->name));
  visit(Place{at, function, late, certain});
}

template <typename Visit>
void visit_module(const Functions& all, Module& module, Visit visit) {
  if (!module.tables.symbols || !module.tables.names) return;
  const Relocations& r = module.relocations;
  for (uint64_t i = 0; i < r.call_count; ++i) visit_relocation(all, module, r.calls[i], i, visit);
  for (uint64_t i = 0; i < r.data_count; ++i)
    visit_relocation(all, module, r.data[i], UINT64_MAX, visit);
}

// Not the shim's own.
template <typename Visit>
void for_each_slot(const Functions& all, Visit visit) {
  bool of_the_start = true;
  for (const link_map* object = first_object(); object; object = object->l_next) {
    if (object->l_ld == _DYNAMIC) continue;
    Module module{tables_of(*object), relocations_of(*object), of_the_start};
    visit_module(all, module, visit);
    of_the_start = of_the_start && !is_libc(module.tables);
  }
}

// ---- what stood there

struct Kept {
  uint64_t* at;
  uint64_t value;
};
constinit Kept* g_kept = nullptr;
constinit uint64_t g_kept_count = 0, g_kept_bytes = 0;

bool keep_room(uint64_t count) {
  g_kept_bytes = (count * sizeof(Kept) + 4095) & ~uint64_t{4095};
  const long at = sys::call(__NR_mmap, 0, static_cast<long>(g_kept_bytes), 3 /* RW */,
                            0x22 /* PRIVATE, ANONYMOUS */, -1, 0);
  if (sys::failed(at)) return false;
  g_kept = reinterpret_cast<Kept*>(at);
  g.own_commit_kb += g_kept_bytes / 1024;
  return true;
}

bool is_ours_to_change(const Place& slot) {
  return slot.late ? slot.certain : *slot.at == slot.function->real;
}

// Slots come in the same order again, but for those of objects that are gone.
uint64_t old_value(const Place& slot, uint64_t& next_kept) {
  for (uint64_t i = next_kept; i < g_kept_count; ++i)
    if (g_kept[i].at == slot.at) return next_kept = i + 1, g_kept[i].value;
  return slot.function->real;
}

}  // namespace

BoundSlots bind_slots() {
  const Functions all = find_functions();
  BoundSlots done;
  uint64_t count = 0;
  for_each_slot(all, [&count](const Place& slot) { count += is_ours_to_change(slot); });
  const bool room = count != 0 && keep_room(count);
  CodeWriter writer;
  for_each_slot(all, [&](const Place& slot) {
    if (!is_ours_to_change(slot)) return void(++done.elsewhere);
    const uint64_t value = *slot.at;
    if (!room || !writer.write_data(slot.at, slot.function->ours)) return void(++done.unwritable);
    g_kept[g_kept_count++] = {slot.at, value};
    ++done.ours;
  });
  return done;
}

// What the loader has bound meanwhile is not ours any more.
uint64_t give_slots_back() {
  if (!g_kept_count) return 0;
  const Functions all = find_functions();
  uint64_t next_kept = 0, stay = 0;
  CodeWriter writer;
  for_each_slot(all, [&](const Place& slot) {
    if (*slot.at != slot.function->ours) return;
    if (!writer.write_data(slot.at, old_value(slot, next_kept))) ++stay;
  });
  return stay;
}

void forget_slots() {
  if (!g_kept) return;
  sys::call(__NR_munmap, reinterpret_cast<long>(g_kept), static_cast<long>(g_kept_bytes));
  g_kept = nullptr, g_kept_count = 0;
}

}  // namespace ovcshim
