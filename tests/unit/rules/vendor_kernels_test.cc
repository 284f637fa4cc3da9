// SPDX-License-Identifier: MIT
//
// Kernels whose number does not say which of two checks they have.
#include <algorithm>
#include <string_view>

#include "tests/unit/catch.h"
#include "tools/rules/commit_rules.h"

using namespace ovc;

TEST_CASE("a vendor's kernel below 5.2 is judged by what trying has shown, or not at all") {
  HostRules rules;
  rules.kernel = {4, 18};
  CHECK(guess_is_simple(rules) == false);
  rules.vendor_kernel = true;
  CHECK_FALSE(guess_is_simple(rules).has_value());
  rules.simple_guess_probed = true;
  CHECK(guess_is_simple(rules) == true);
  rules.simple_guess_probed = false;
  CHECK(guess_is_simple(rules) == false);
}

// Their sources differ in mm/util.c __vm_enough_memory(): 8.0 (4.18.0-80.7.1.el8) estimates free
// memory, 8.3 (4.18.0-240.el8) has 8c7829b04c52 of Linux 5.2. So neither number is taken for an
// answer.
TEST_CASE("Red Hat's 4.18 may have either of the two checks of mode 0") {
  const auto release = GENERATE("4.18.0-80.7.1.el8_0.x86_64", "4.18.0-240.el8.x86_64");
  ovcshim::FileHeader header{};
  std::copy_n(release, std::string_view(release).size(), header.kernel_release);
  HostRules rules = host_rules(header);
  rules.mode = kModeGuess;
  rules.ram_kb = 8000000, rules.swap_kb = 1000;
  CHECK_FALSE(guess_is_simple(rules).has_value());
  CHECK_FALSE(guess_limit_kb(rules).has_value());  // smaller requests may be refused, too
  rules.simple_guess_probed = false;
  CHECK_FALSE(guess_limit_kb(rules).has_value());
  rules.simple_guess_probed = true;
  CHECK(guess_limit_kb(rules) == 8001000);
}
