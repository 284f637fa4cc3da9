// SPDX-License-Identifier: MIT
#if defined(__x86_64__) || defined(__aarch64__)  // elsewhere: elsewhere.cc
#include "tools/attach/walker.h"

#include <libunwind-ptrace.h>

#include <cstring>
#include <new>

namespace ovc {
namespace {

constexpr size_t kMostFrames = 1024;

// One at a time: libunwind hands its callbacks different arguments for tables and for frames.
struct Walking {
  const ThreadState* state = nullptr;
  const Memory* memory = nullptr;
  void* files = nullptr;  // libunwind-ptrace's, for the process
};
Walking walking;

// Where a frame stands. libunwind takes it for the link register on aarch64, which holds for frames
// that have called; pc is what it was innermost, or where a signal came.
#if defined(__aarch64__)
constexpr int instruction_of(bool exact) { return exact ? int{UNW_AARCH64_PC} : int{UNW_REG_IP}; }
#else
constexpr int instruction_of(bool) { return UNW_REG_IP; }
#endif

int find_proc_info(unw_addr_space_t space, unw_word_t ip, unw_proc_info_t* info, int need, void*) {
  return _UPT_find_proc_info(space, ip, info, need, walking.files);
}
void put_unwind_info(unw_addr_space_t space, unw_proc_info_t* info, void*) {
  _UPT_put_unwind_info(space, info, walking.files);
}
int no_dynamic_code(unw_addr_space_t, unw_word_t*, void*) { return -UNW_ENOINFO; }

int access_memory(unw_addr_space_t, unw_word_t at, unw_word_t* value, int write, void*) {
  if (write) return 0;  // see take_signature_off()
  const auto& stack = walking.state->stack;
  const uint64_t low = stack_pointer(walking.state->registers);
  if (at >= low && at - low + sizeof *value <= stack.size()) {
    std::memcpy(value, stack.data() + (at - low), sizeof *value);
    return 0;
  }
  return walking.memory->get(at, *value) ? 0 : -UNW_EINVAL;
}

int access_register(unw_addr_space_t, unw_regnum_t number, unw_word_t* value, int write, void*) {
  if (write) return 0;
  const auto found = numbered_register(walking.state->registers, number);
  if (!found) return -UNW_EBADREG;
  *value = *found;
  return 0;
}

int no_float(unw_addr_space_t, unw_regnum_t, unw_fpreg_t*, int, void*) { return -UNW_EBADREG; }
int no_resume(unw_addr_space_t, unw_cursor_t*, void*) { return -UNW_EINVAL; }
int no_name(unw_addr_space_t, unw_word_t, char*, size_t, unw_word_t*, void*) {
  return -UNW_ENOINFO;
}

// Newer libunwinds have more members, which may be null.
unw_accessors_t all_accessors() {
  unw_accessors_t all{};
  all.find_proc_info = find_proc_info;
  all.put_unwind_info = put_unwind_info;
  all.get_dyn_info_list_addr = no_dynamic_code;
  all.access_mem = access_memory;
  all.access_reg = access_register;
  all.access_fpreg = no_float;
  all.resume = no_resume;
  all.get_proc_name = no_name;
  return all;
}
unw_accessors_t accessors = all_accessors();

// libunwind takes return addresses as they are. Told another one, it goes on from there; what it
// would also write where it has found the first one is not written.
bool take_signature_off(unw_cursor_t& cursor, unw_word_t& ip) {
  const uint64_t plain = without_signature(ip);
  if (plain == ip) return true;
  ip = plain;
  return unw_set_reg(&cursor, UNW_REG_IP, plain) == 0;
}

// No frame calls itself without a stack of its own. On aarch64 libunwind takes x30 for the caller
// where the tables give it none: at the first instruction that makecontext() returns to, which no
// call leads to, and, before its 1.7, wherever return addresses are signed, whose tables it cannot
// read (DW_CFA_AARCH64_negate_ra_state).
bool stands_still(const Walk& walk, uint64_t ip, uint64_t sp) {
  return !walk.addresses.empty() && walk.addresses.back() == ip && walk.stacks.back() == sp;
}

}  // namespace

struct Walker::Parts {
  Memory memory;
  unw_addr_space_t space;
  void* files;
  explicit Parts(uint32_t pid)
      : memory(pid),
        space(unw_create_addr_space(&accessors, 0)),
        files(_UPT_create(static_cast<pid_t>(pid))) {
    if (!space || !files) throw std::bad_alloc();
    unw_set_caching_policy(space, UNW_CACHE_GLOBAL);
  }
  ~Parts() {
    _UPT_destroy(files);
    unw_destroy_addr_space(space);
  }
};

Walker::Walker(uint32_t pid) : parts_(std::make_unique<Parts>(pid)) {}
Walker::~Walker() = default;

Walk Walker::walk(const ThreadState& state) {
  Walk walk;
  if (state.error) return walk;
  walking = {&state, &parts_->memory, parts_->files};
  unw_cursor_t cursor;
  if (unw_init_remote(&cursor, parts_->space, parts_->files) != 0) return walk;
  for (bool exact = true;;) {
    unw_word_t ip = 0, sp = 0;
    unw_get_reg(&cursor, instruction_of(exact), &ip);
    unw_get_reg(&cursor, UNW_REG_SP, &sp);
    if (ip == 0 || !take_signature_off(cursor, ip)) break;
    if (stands_still(walk, ip, sp)) return walk;  // lost
    walk.addresses.push_back(ip);
    walk.stacks.push_back(sp);
    walk.handler_below.push_back(unw_is_signal_frame(&cursor) > 0);
    if (walk.addresses.size() == kMostFrames) {
      walk.end = WalkEnd::kMany;
      return walk;
    }
    // libunwind keeps the rules of an address, and does not tell one where execution stands from
    // the same as a return address, which the rules of the call before it hold for.
    if (exact) unw_flush_cache(parts_->space, 0, 0);
    const int step = unw_step(&cursor);
    if (exact) unw_flush_cache(parts_->space, 0, 0);
    exact = walk.handler_below.back();
    if (step > 0) continue;
    walk.end = step == 0 ? WalkEnd::kBottom : WalkEnd::kLost;
    break;
  }
  return walk;
}

}  // namespace ovc

#endif
