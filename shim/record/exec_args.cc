// SPDX-License-Identifier: MIT
#include "shim/record/exec_args.h"

#include "shim/record/process.h"

namespace ovcshim {
namespace {

constexpr uint64_t kMaxStrings = 4096;

// Each page is probed once before it is read.
bool next_readable(const void* at, const void*& proven) {
  const auto page =
      reinterpret_cast<const void*>(reinterpret_cast<uint64_t>(at) & ~(kPageBytes - 1));
  if (page == proven) return true;
  if (is_quiet() ||
      !sys::readable(reinterpret_cast<const void*>(reinterpret_cast<uint64_t>(at) & ~uint64_t{7})))
    return false;
  proven = page;
  return true;
}

uint64_t count_strings(char* const* list) {
  const void* proven =
      reinterpret_cast<const void*>(UINT64_MAX);  // none yet; the page at 0 may be asked for
  uint64_t n = 0;
  while (list && n < kMaxStrings && next_readable(list + n, proven) && list[n]) ++n;
  return n;
}

constexpr uint64_t kMostMeasured = 1 << 20;  // strings; of one of them 64 bytes as many

// Its length with the end; 0: a part of it cannot be read.
uint64_t measure(const char* text, const void*& proven) {
  for (uint64_t n = 0; n < 64 * kMostMeasured; ++n) {
    if (!next_readable(text + n, proven)) return 0;
    if (!text[n]) return n + 1;
  }
  return 0;
}

bool add_sizes(ExecSize& size, char* const* list) {
  const void* proven = reinterpret_cast<const void*>(UINT64_MAX);
  const void* in_list = proven;
  for (uint64_t n = 0; list; ++n) {
    if (n > kMostMeasured || !next_readable(list + n, in_list)) return false;
    if (!list[n]) return true;
    const uint64_t bytes = measure(list[n], proven);
    if (bytes == 0) return false;
    size.bytes += bytes;
    if (bytes > size.longest) size.longest = bytes;
  }
  return true;
}

}  // namespace

ExecArgs exec_args(char* const* argv, char* const* environment) {
  if (is_quiet()) return {kUnknown, kUnknown, kUnknown};
  ExecArgs found{count_strings(argv), count_strings(environment)};
  char text[128];
  for (uint64_t i = 0; i < found.environment; ++i) {
    const uint64_t len = copy_text(text, sizeof text, environment[i]);
    if (len <= 11 || !sys::equal(text, "LD_PRELOAD=", 11)) continue;
    found.passes_shim_on = sys::contains(text, len, "ovcshim");
    break;  // the loader takes the first
  }
  return found;
}

ExecSize exec_size(char* const* argv, char* const* environment) {
  ExecSize size;
  return add_sizes(size, argv) && add_sizes(size, environment) ? size : ExecSize{};
}

}  // namespace ovcshim
