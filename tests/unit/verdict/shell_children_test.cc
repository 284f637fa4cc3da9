// SPDX-License-Identifier: MIT
// Children of calls that keep their pid to themselves: given to a call only where no other could
// have made them.
#include "tools/verdict/shell_children.h"

#include "tests/unit/catch.h"

using namespace ovc;
using Pairs = std::map<uint64_t, uint32_t>;

TEST_CASE("one call, one child") {
  CHECK(match_shell_children({{1, 10, 100, 200, false}}, {{11, 10, 150}}) == Pairs{{1, 11}});
  CHECK(match_shell_children({{1, 10, 100, 200, false}}, {{11, 10, 250}}) ==
        Pairs{{1, 11}});  // popen's starts late
}

TEST_CASE("a child that cannot be the call's stays without one") {
  CHECK(match_shell_children({{1, 10, 100, 200, false}}, {{11, 10, 50}}).empty());  // before it
  CHECK(match_shell_children({{1, 10, 100, 200, true}}, {{11, 10, 250}})
            .empty());  // system waits for its child
  CHECK(
      match_shell_children({{1, 10, 100, 200, false}}, {{11, 12, 150}}).empty());  // another parent
  CHECK(match_shell_children({}, {{11, 10, 150}}).empty());
}

TEST_CASE("calls one after the other") {
  const Pairs pairs = match_shell_children(
      {{3, 10, 500, 600, true}, {1, 10, 100, 200, false}, {2, 10, 300, 400, true}},
      {{23, 10, 550}, {21, 10, 120}, {22, 10, 310}});
  CHECK(pairs == Pairs{{1, 21}, {2, 22}, {3, 23}});
}

TEST_CASE("two at the same time cannot be told apart, what comes after them can") {
  const Pairs pairs = match_shell_children(
      {{1, 10, 100, 300, true}, {2, 10, 110, 310, true}, {3, 10, 500, 600, true}},
      {{21, 10, 150}, {22, 10, 160}, {23, 10, 550}});
  CHECK(pairs == Pairs{{3, 23}});
}

TEST_CASE("a call that has not returned may still have a child") {
  CHECK(match_shell_children({{1, 10, 100, 0, true}}, {{11, 10, 1000}}) == Pairs{{1, 11}});
}
