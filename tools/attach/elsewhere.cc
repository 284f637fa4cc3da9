// SPDX-License-Identifier: MIT
//
// On other machines than x86-64 and aarch64 nothing is stopped and nobody is attached to.
#if !defined(__x86_64__) && !defined(__aarch64__)
#include "tools/attach/attach.h"
#include "tools/attach/named_stack.h"
#include "tools/text/error.h"

namespace ovc {
namespace {

constexpr char kOnlyThere[] = "this is for x86-64 and aarch64 only";

}  // namespace

ProcessStacks read_stacks(uint32_t) { throw Error(kOnlyThere); }
AttachOutcome attach_to(const AttachWish&) { throw Error(kOnlyThere); }
AttachOutcome detach_from(uint32_t) { throw Error(kOnlyThere); }
std::string list_mappings(const AttachOutcome&) { return kOnlyThere; }

}  // namespace ovc

#endif
