// SPDX-License-Identifier: MIT
//
// What a seccomp filter would answer, followed without knowing addresses and arguments.
#if defined(__x86_64__)
#include "tools/attach/filter.h"

#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <set>
#include <sstream>

#include "shim/format/shim_calls.h"
#include "tests/unit/catch.h"

using namespace ovc;

namespace {

using Program = std::vector<sock_filter>;

sock_filter load(uint32_t offset) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset); }
sock_filter answer(uint32_t action) { return BPF_STMT(BPF_RET | BPF_K, action); }
sock_filter jump(uint16_t how, uint32_t value, uint8_t yes, uint8_t no) {
  return {static_cast<uint16_t>(BPF_JMP | BPF_K | how), yes, no, value};
}
constexpr uint32_t kNumber = offsetof(seccomp_data, nr), kArch = offsetof(seccomp_data, arch),
                   kArgument = offsetof(seccomp_data, args);
constexpr uint32_t kAllow = SECCOMP_RET_ALLOW, kKill = SECCOMP_RET_KILL_PROCESS;

Program on(uint32_t nr, uint32_t action) {
  return {load(kNumber), jump(BPF_JEQ, nr, 0, 1), answer(action), answer(kAllow)};
}

}  // namespace

TEST_CASE("what is allowed, logged or refused with an errno is harmless, all else is not") {
  for (const uint32_t action : {kAllow, SECCOMP_RET_LOG, SECCOMP_RET_ERRNO | 38u})
    CHECK(answer_to(on(SYS_openat, action), SYS_openat) == FilterAnswer::kHarmless);
  for (const uint32_t action : {kKill, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP | 1u,
                                SECCOMP_RET_TRACE, SECCOMP_RET_USER_NOTIF}) {
    CHECK(answer_to(on(SYS_openat, action), SYS_openat) == FilterAnswer::kHarmful);
    CHECK(answer_to(on(SYS_openat, action), SYS_close) == FilterAnswer::kHarmless);
  }
}

TEST_CASE("what depends on an argument may be either") {
  const Program program = {load(kArgument), jump(BPF_JSET, 4, 0, 1), answer(kKill), answer(kAllow)};
  CHECK(answer_to(program, SYS_mmap) == FilterAnswer::kHarmful);
  const Program both = {load(kArgument), jump(BPF_JSET, 4, 0, 1), answer(SECCOMP_RET_ERRNO | 1),
                        answer(kAllow)};
  CHECK(answer_to(both, SYS_mmap) == FilterAnswer::kHarmless);
}

TEST_CASE("the machine is known, and what is computed from the number, too") {
  constexpr uint32_t kX86_64 = 0xc000003e;
  CHECK(answer_to(Program{load(kArch), jump(BPF_JEQ, kX86_64, 1, 0), answer(kKill), answer(kAllow)},
                  SYS_read) == FilterAnswer::kHarmless);
  // X = number + 5; A = 7; A > X?
  const Program computed = {load(kNumber),
                            BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 5),
                            BPF_STMT(BPF_MISC | BPF_TAX, 0),
                            BPF_STMT(BPF_LD | BPF_IMM, 7),
                            {BPF_JMP | BPF_JGT | BPF_X, 0, 1, 0},
                            answer(kKill),
                            answer(kAllow)};
  CHECK(answer_to(computed, 1) == FilterAnswer::kHarmful);
  CHECK(answer_to(computed, 2) == FilterAnswer::kHarmless);
  CHECK(answer_to(computed, 3) == FilterAnswer::kHarmless);
}

TEST_CASE("a program that ends nowhere is not known; as many ways as one has are followed") {
  CHECK(answer_to(Program{load(kNumber)}, 1) == FilterAnswer::kNoFilter);
  CHECK(answer_to(Program{}, 1) == FilterAnswer::kNoFilter);
  CHECK(answer_to(Program{jump(BPF_JEQ, 0, 9, 9), answer(kAllow)}, 1) == FilterAnswer::kNoFilter);
  Program ways;
  for (int i = 0; i < 40; ++i) {
    ways.push_back(load(kArgument));
    ways.push_back(jump(BPF_JEQ, 1, 0, 0));
  }
  ways.push_back(answer(kAllow));
  CHECK(answer_to(ways, 1) == FilterAnswer::kHarmless);
  // Of two ways to one place what only one knows is not known there.
  const Program joined = {load(kArgument),        jump(BPF_JEQ, 1, 0, 1), load(kNumber),
                          jump(BPF_JEQ, 1, 0, 1), answer(kAllow),         answer(kKill)};
  CHECK(answer_to(joined, 1) == FilterAnswer::kHarmful);
  const Program scratch = {
      load(kNumber),          BPF_STMT(BPF_ST, 3), BPF_STMT(BPF_LD | BPF_MEM, 3),
      jump(BPF_JEQ, 1, 0, 1), answer(kAllow),      answer(kKill)};
  CHECK(answer_to(scratch, 1) == FilterAnswer::kHarmful);
}

TEST_CASE("every system call of the shim's is asked about") {
  std::set<std::string> asked;
  for (const ovcshim::ShimCall& call : ovcshim::kShimCalls) asked.insert(call.name);
  std::ifstream table(OVC_SOURCE_DIR "/tests/trust/faults/calls.table");
  size_t rows = 0;
  for (std::string line; std::getline(table, line);) {
    std::istringstream words(line);
    std::string name, how;
    const auto only_after_the_program = [&] { return name == "clone" || name == "exit"; };
    if (line.starts_with('#') || !(words >> name >> how) || only_after_the_program()) continue;
    ++rows;
    CHECK(asked.contains(name));
  }
  CHECK(rows > 30);
}

#endif
