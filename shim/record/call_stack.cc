// SPDX-License-Identifier: MIT
//
// See call_stack.h. Same rules as event.cc.
#include "shim/record/call_stack.h"

#include "shim/record/module_list.h"
#include "shim/unwind/walk_memo.h"

namespace ovcshim {
namespace {

// The wrapper's own frames come first; the program's begin at the caller.
unsigned frames_of_ours(const uint64_t* frames, unsigned n, uint64_t caller) {
  for (unsigned i = 0; i < n && i < 5; ++i)
    if (frames[i] == caller) return i;
  return n;
}

bool ends_in_unknown_code(const uint64_t* frames, unsigned n) {
  return n > 0 && n < kMaxFrames && !find_module(*modules_now(), frames[n - 1] - 1);
}

unsigned walk(const FrameState& frame, Scratch& scratch, bool* cut) {
  static_assert(sizeof(WalkNote) <= sizeof scratch.io && offsetof(Scratch, io) % 8 == 0);
  auto* note = reinterpret_cast<WalkNote*>(scratch.io);
  return backtrace(*modules_now(), frame, scratch.frames, kMaxFrames, !is_quiet(), cut, note);
}

}  // namespace

Stack stack_of_call(const FrameState& frame, const uint64_t& caller, Scratch* scratch,
                    Objects objects) {
  Stack stack{0, &caller, 1, true};
  if (scratch && g.stack_depth) {
    unsigned n = walk(frame, *scratch, &stack.cut);
    if (stack.cut && objects != Objects::kAsKnown && ends_in_unknown_code(scratch->frames, n) &&
        refresh_modules(objects == Objects::kReadAgain))
      n = walk(frame, *scratch, &stack.cut);
    const unsigned skip = frames_of_ours(scratch->frames, n, caller);
    if (n > skip) stack.frames = scratch->frames + skip, stack.count = n - skip;
  }
  if (stack.count > g.stack_depth) stack.count = g.stack_depth, stack.cut = true;
  stack.image = g_lineage.image;
  return stack;
}

}  // namespace ovcshim
