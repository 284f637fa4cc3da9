// SPDX-License-Identifier: MIT
//
// The rare half of StackReader: a page not met before, and memory that is not the stack we run on.
#include "shim/unwind/stack_reader.h"

#include "shim/sys/sys.h"
#include "shim/unwind/memory.h"

namespace ovcshim {

bool StackReader::prove(uint64_t at) {
  uint64_t wanted = page(at);
  if (wanted == high_ && low_ == base_) high_ = deepen_known_stack(base_, high_);
  if (wanted >= low_ && wanted < high_) return true;
  if (!sys::readable(reinterpret_cast<const void*>(wanted))) return false;
  if (wanted == high_) {
    high_ += kPageBytes;
  } else if (wanted + kPageBytes == low_) {
    low_ = wanted;
  } else {
    low_ = wanted;
    high_ = wanted + kPageBytes;
  }
  return true;
}

bool StackReader::copied(uint64_t at, uint64_t& value) {
  if (!may_call_kernel_) return false;
  left_ = true;
  high_ = low_;
  uint64_t wanted = at & ~(kWindowBytes - 1);
  if (wanted != window_at_) {
    window_at_ = 1;
    if (!copy_by_kernel(window_, wanted, kWindowBytes)) return false;
    window_at_ = wanted;
  }
  value = window_[(at - wanted) / 8];
  return true;
}

}  // namespace ovcshim
