// SPDX-License-Identifier: MIT
//
// The label of a process, and the kernel's answers about it. Asked for real in
// tests/kernels/guest/selinux.sh.
#include "tools/host/selinux_policy.h"

#include "tests/unit/catch.h"
#include "tests/unit/proc_tree.h"

using namespace ovc;
using namespace ovc::test;
using ovcshim::SecurityModule;

namespace {

const std::string kLabel = "system_u:system_r:server_t:s0";

}  // namespace

TEST_CASE("the label of another process") {
  ProcTree tree;
  CHECK_FALSE(security_label(tree.root(), 100));  // not told
  tree.put("100/attr/current", kLabel + '\0');
  const auto label = security_label(tree.root(), 100);
  REQUIRE(label);
  CHECK(label->text == kLabel);
  CHECK(label->module == SecurityModule::kSelinux);  // whether it enforces is not told
  tree.put_file("sys/fs/selinux/enforce", "1");
  CHECK(security_label(tree.root(), 100)->module == SecurityModule::kSelinuxEnforcing);
  tree.put_file("sys/fs/selinux/enforce", "0");
  CHECK(security_label(tree.root(), 100)->module == SecurityModule::kSelinuxPermissive);
  tree.put("100/attr/current", "/usr/sbin/mysqld (enforce)\n");
  CHECK(security_label(tree.root(), 100)->module == SecurityModule::kAppArmorConfined);
}

TEST_CASE("the kernel's answer: permissions in hex, the first is bit 0") {
  CHECK(allowed_by("3 ffffffff 0 ffffffff 1 0", 1) == true);
  CHECK(allowed_by("3 ffffffff 0 ffffffff 1 0", 3) == false);
  CHECK(allowed_by("0 ffffffff 0 ffffffff 1 1", 3) == true);  // a permissive type
  CHECK(allowed_by("80000000 ffffffff 0 0 12 0", 32) == true);
  CHECK_FALSE(allowed_by("3 ffffffff 0", 1));
  CHECK_FALSE(allowed_by("", 1));
  CHECK_FALSE(allowed_by("3 ffffffff 0 ffffffff 1 0", 0));
  CHECK_FALSE(allowed_by("3 ffffffff 0 ffffffff 1 0", 33));
}

TEST_CASE("a policy that does not answer allows and denies nothing") {
  ProcTree tree;
  CHECK_FALSE(selinux_allows(tree.root(), kLabel, "process", "fork"));
  tree.put_file("sys/fs/selinux/class/process/index", "2")
      .put_file("sys/fs/selinux/class/process/perms/fork", "1");
  CHECK_FALSE(selinux_allows(tree.root(), kLabel, "process", "fork"));
}
