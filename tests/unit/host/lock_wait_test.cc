// SPDX-License-Identifier: MIT
//
// Who waits for ever: only a lone thread, in a wait without an end, for a mutex of its own process.
#include "tools/host/lock_wait.h"

#include <sys/syscall.h>

#include "tests/unit/catch.h"
#include "tests/unit/proc_tree.h"

using namespace ovc;
using namespace ovc::test;

namespace {

std::optional<LockWait> wait_in(const std::string& call, unsigned threads = 1) {
  ProcTree tree;
  tree.put("100/status", "Name:\ta\nThreads:\t" + std::to_string(threads) + "\n");
  tree.put("100/syscall", call);
  return lock_wait(tree.root(), 100);
}
std::string futex(const std::string& rest) {
  return std::to_string(SYS_futex) + " 0x5581c0de " + rest + " 0x0 0x0 0x7ffe 0x7f00\n";
}

}  // namespace

TEST_CASE("a lone thread that waits for a mutex of its own process waits for ever") {
  const auto wait = wait_in(futex("0x80 0x2 0x0"));
  REQUIRE(wait);
  CHECK(wait->futex == 0x5581c0de);
  CHECK(wait_in(futex("0x80 0x800003e8 0x0")));  // musl: the owner, and that somebody waits
  CHECK(wait_in(futex("0x86 0x0 0x0")));         // FUTEX_LOCK_PI
}

TEST_CASE("whoever could be woken is not stuck") {
  CHECK_FALSE(wait_in(futex("0x80 0x2 0x0"), 2));      // by another thread
  CHECK_FALSE(wait_in(futex("0x0 0x2 0x0")));          // by another process: not private
  CHECK_FALSE(wait_in(futex("0x80 0x2 0x7ffe1000")));  // by the clock
  CHECK_FALSE(wait_in(futex("0x80 0x0 0x0")));         // a semaphore: by a signal handler
  CHECK_FALSE(wait_in(futex("0x189 0x0 0x0")));        // FUTEX_WAIT_BITSET: a condition
  CHECK_FALSE(wait_in(futex("0x81 0x2 0x0")));         // it wakes others
  CHECK_FALSE(wait_in("0 0x0 0x7ffe 0x1 0x0 0x0 0x0 0x7ffe 0x7f00\n"));  // read
  for (const char* text : {"running\n", "", "-1 0x7ffe 0x7f00\n", "202\n", "202 0xzz\n"})
    CHECK_FALSE(wait_in(text));
}
