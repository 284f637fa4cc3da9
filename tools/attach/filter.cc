// SPDX-License-Identifier: MIT
#if defined(__x86_64__) || defined(__aarch64__)  // elsewhere: elsewhere.cc
#include "tools/attach/filter.h"

#include <sys/ptrace.h>

#include <cerrno>

#include "shim/format/shim_calls.h"

namespace ovc {

FilterAnswer answer_to(std::span<const sock_filter> program, uint32_t nr) {
  std::vector<ovcshim::FilterState> states(program.size());
  return ovcshim::filter_answer(program.data(), program.size(), nr, states.data());
}

std::optional<Filters> read_filters(uint32_t tid, int& error) {
  Filters filters;
  for (uintptr_t n = 0;; ++n) {
    const long length = ptrace(PTRACE_SECCOMP_GET_FILTER, tid, n, nullptr);
    if (length < 0 && errno == ENOENT) return filters;
    std::vector<sock_filter> program(length > 0 ? static_cast<size_t>(length) : 0);
    if (length <= 0 || ptrace(PTRACE_SECCOMP_GET_FILTER, tid, n, program.data()) != length) {
      error = errno;
      return std::nullopt;
    }
    filters.push_back(std::move(program));
  }
}

std::string call_against(const Filters& filters) {
  for (const auto& program : filters)
    for (const ovcshim::ShimCall& call : ovcshim::kShimCalls)
      if (answer_to(program, call.nr) != FilterAnswer::kHarmless) return call.name;
  return "";
}

}  // namespace ovc

#endif
