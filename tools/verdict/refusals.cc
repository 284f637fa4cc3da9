// SPDX-License-Identifier: MIT
//
// Which failed calls `ovc why` is about: see is_refusal() in why_scan.h.
#include <algorithm>
#include <cerrno>
#include <iterator>

#include "tools/verdict/why_scan.h"

namespace ovc {
namespace {

// What else means that something was not to be had. Questions ("is there such a segment, such a
// flag") are none.
bool is_refusal_of(Op op, uint16_t err) {
  constexpr struct {
    Op op;
    uint16_t err;
  } kRefusals[] = {
      {Op::kMlock, EPERM},           {Op::kMlock2, EPERM},         {Op::kMlockall, EPERM},
      {Op::kShmget, ENOMEM},         {Op::kShmget, EAGAIN},        {Op::kShmget, EINVAL},
      {Op::kShmget, ENOSPC},         {Op::kShmget, EPERM},         {Op::kShmat, ENOMEM},
      {Op::kShmat, EAGAIN},          {Op::kUnshare, EPERM},        {Op::kUnshare, EACCES},
      {Op::kUnshare, ENOSPC},        {Op::kUnshare, EUSERS},       {Op::kUnshare, ENOMEM},
      {Op::kSetns, EPERM},           {Op::kSetns, ENOMEM},         {Op::kShmOpen, ENOSPC},
      {Op::kShmOpen, EMFILE},        {Op::kShmOpen, ENFILE},       {Op::kShmOpen, ENOMEM},
      {Op::kMemfdCreate, ENOMEM},    {Op::kMemfdCreate, EMFILE},   {Op::kMemfdCreate, ENFILE},
      {Op::kMemfdCreate, EACCES},    {Op::kMemfdCreate, ENODEV},   {Op::kFtruncate, ENOMEM},
      {Op::kFtruncate, ENOSPC},      {Op::kFtruncate, EFBIG},      {Op::kFallocate, ENOSPC},
      {Op::kFallocate, ENOMEM},      {Op::kFallocate, EFBIG},      {Op::kPosixFallocate, ENOSPC},
      {Op::kPosixFallocate, ENOMEM}, {Op::kPosixFallocate, EFBIG},
  };
  return std::any_of(std::begin(kRefusals), std::end(kRefusals),
                     [=](const auto& row) { return row.op == op && row.err == err; });
}

}  // namespace

bool is_refusal(const Event& event) {
  if (!event.failed() || !event.returned()) return false;
  const Op op = event.base.op;
  if (event.base.flags & (ovcshim::kInjected | ovcshim::kRehearsed)) return true;
  const bool resource = event.base.err == ENOMEM || event.base.err == EAGAIN;
  if (op == Op::kMadvise) return resource;  // hints fail as a matter of course
  if (is_exec(op) || starts_program(op))    // and so do searches
    return resource || event.base.err == E2BIG || (event.base.err == EPERM && !is_exec(op));
  return (is_malloc_op(op) || is_memory_op(op) || is_fork_op(op)) || (resource && is_lock_op(op)) ||
         is_refusal_of(op, event.base.err);
}

}  // namespace ovc
