// SPDX-License-Identifier: MIT
//
// Where a walk of a stopped thread begins, by the processor: what the shim's walk wants of its
// registers, and whether the thread is about to make a system call.
#pragma once
#include "shim/unwind/backtrace.h"
#include "tools/attach/stopped.h"

namespace oracle {

ovcshim::FrameState start_of(const ovc::Registers& registers);

// Also true where its next instruction cannot be read.
bool is_at_call(const ovc::Registers& registers, const ovc::Memory& memory);

}  // namespace oracle
