// SPDX-License-Identifier: MIT
//
// The stack of a call that a wrapper has met.
#pragma once
#include "shim/record/stack_table.h"
#include "shim/record/state.h"
#include "shim/unwind/backtrace.h"

namespace ovcshim {

// Where a stack goes on in code of no object that is known: the list of objects may be read anew.
enum class Objects { kAsKnown, kReadIfDue, kReadAgain };

// From the caller on, OVCSHIM_STACK_DEPTH frames at most; the caller alone without scratch memory,
// which the frames lie in. `frame` is of a function of ours that was called beneath the wrapper.
Stack stack_of_call(const FrameState& frame, const uint64_t& caller, Scratch* scratch,
                    Objects objects);

}  // namespace ovcshim
