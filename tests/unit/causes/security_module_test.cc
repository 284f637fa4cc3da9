// SPDX-License-Identifier: MIT
//
// A security module that labels the caller: it denies with an errno that has reasons of the
// kernel's own, and it keeps capabilities from being used, so that a limit holds for who seems free
// of it. Made for real in tests/kernels/guest/selinux.sh.
#include <sched.h>

#include "shim/format/security_label.h"
#include "tests/unit/catch.h"
#include "tests/unit/cause_case.h"

using namespace ovc;
using namespace ovc::test;
using ovcshim::SecurityModule;

namespace {

constexpr uint64_t kAllCaps = 0x1ffffffffff;
constexpr SecurityModule kDeny[] = {SecurityModule::kSelinuxEnforcing, SecurityModule::kSelinux,
                                    SecurityModule::kAppArmorConfined, SecurityModule::kOther};
constexpr SecurityModule kHarmless[] = {SecurityModule::kNone, SecurityModule::kSelinuxPermissive,
                                        SecurityModule::kAppArmorUnconfined};

Case under(Case c, SecurityModule module) {
  return c.with(FactKey::kSecurityModule, static_cast<uint64_t>(module));
}
Case root(Case c) { return c.with(FactKey::kCapEff, kAllCaps).with(FactKey::kUid, 0); }
bool has_suspect(const Finding& finding, std::string_view cause) {
  return std::any_of(finding.suspects.begin(), finding.suspects.end(),
                     [&](const Suspect& s) { return s.cause == cause; });
}
SecurityModule label(const char* text, uint64_t enforces = ovcshim::kUnknown) {
  return ovcshim::module_of_label(text, [=] { return enforces; });
}

}  // namespace

TEST_CASE("a label says which module it is of") {
  CHECK(label("system_u:system_r:init_t:s0", 1) == SecurityModule::kSelinuxEnforcing);
  CHECK(label("u:r:t:s0-s0:c0.c1023", 0) == SecurityModule::kSelinuxPermissive);
  CHECK(label("system_u:system_r:unconfined_t:s0") == SecurityModule::kSelinux);
  CHECK(label("unconfined\n") == SecurityModule::kAppArmorUnconfined);
  CHECK(label("unconfine") == SecurityModule::kOther);
  CHECK(label("/usr/sbin/mysqld (enforce)\n") == SecurityModule::kAppArmorConfined);
  CHECK(label("_") == SecurityModule::kOther);  // Smack
  for (const auto module : kDeny) CHECK(ovcshim::can_deny(module));
  for (const auto module : kHarmless) CHECK_FALSE(ovcshim::can_deny(module));
}

TEST_CASE("SELinux denies a fork with EACCES, for which the kernel has no reason of its own") {
  for (const Op op : {Op::kFork, Op::kVfork, Op::kPthreadCreate, Op::kClone}) {
    Case c(op, EACCES);
    CHECK(under(c, SecurityModule::kSelinuxEnforcing).cause() == "security-module");
    CHECK(under(c, SecurityModule::kSelinuxPermissive).cause() == "unknown");
  }
  Case filtered(Op::kFork, EACCES);
  filtered.with(FactKey::kSeccomp, 2);
  CHECK(filtered.cause() == "seccomp");
  filtered = under(filtered, SecurityModule::kSelinuxEnforcing);
  CHECK(filtered.cause() == "unknown");  // either of them
  CHECK(has_suspect(filtered.verdict(), "seccomp"));
  CHECK(has_suspect(filtered.verdict(), "security-module"));
  // AppArmor does not ask at a fork; nor has a plain fork anything to do with capabilities.
  CHECK(under(Case(Op::kFork, EACCES), SecurityModule::kAppArmorConfined).cause() == "unknown");
  CHECK(under(Case(Op::kFork, EPERM), SecurityModule::kSelinuxEnforcing).cause() == "unknown");
}

TEST_CASE("an errno that has a reason of the kernel's own may be the module's") {
  Case exec(Op::kExecve, EACCES);
  CHECK(exec.cause() == "not-permitted");
  for (const auto module : kHarmless) CHECK(under(exec, module).cause() == "not-permitted");
  for (const auto module : kDeny) {
    const Finding either = under(exec, module).verdict();
    CHECK(either.cause == "unknown");
    CHECK(has_suspect(either, "not-permitted"));
    CHECK(has_suspect(either, "security-module"));
  }
  // What the arguments prove stays proven.
  Case wide(Op::kMprotect, EINVAL, {0x10000000, 4096, 0x03000000});
  CHECK(under(wide, SecurityModule::kSelinuxEnforcing).cause() == "bad-argument");
  // A capability that the process has, and may not use.
  Case unshare = root(Case(Op::kUnshare, EPERM, {CLONE_NEWNET}));
  CHECK(under(unshare, SecurityModule::kSelinuxEnforcing).cause() == "security-module");
  CHECK(under(unshare, SecurityModule::kNone).cause() == "unknown");
}

TEST_CASE("RLIMIT_MEMLOCK holds for root where a module keeps CAP_IPC_LOCK from being used") {
  using enum FactKey;
  const auto limited = [](Case c) { return root(c).with(kRlimitMemlock, 65536); };
  const auto mapped = mapping(0x10000000, 2048, kAnonAc | ovcshim::kMapFlagsKnown);
  Case range = limited(Case(Op::kMlock, ENOMEM, {0x10000000, kMib})).mappings({mapped});
  for (const auto module : kDeny) {
    Case c = under(range, module);
    CHECK(c.cause() == "rlimit-memlock");
    CHECK(has_text(c.verdict().notes, "CAP_IPC_LOCK"));
  }
  for (const auto module : kHarmless) CHECK(under(range, module).cause() == "unknown");
  // What it locks is of a file, or cannot be read: the limit is one reason of two.
  for (const uint32_t flags : {kAnonAc | ovcshim::kMapFile, uint32_t{ovcshim::kMapFlagsKnown}}) {
    Case c = range;
    c.mappings({mapping(0x10000000, 2048, flags)});
    CHECK(c.cause() == "bad-argument");
    const Finding either = under(c, SecurityModule::kSelinuxEnforcing).verdict();
    CHECK(either.cause == "unknown");
    CHECK(has_suspect(either, "rlimit-memlock"));
    // Within the limit it is not the limit.
    CHECK(under(c, SecurityModule::kSelinuxEnforcing).with(kRlimitMemlock, kGib).cause() ==
          "bad-argument");
  }
  const auto selinux = SecurityModule::kSelinuxEnforcing;
  Case map = limited(mmap_case(kMib, kRw, kPrivateAnon | MAP_LOCKED, EAGAIN));
  CHECK(under(map, selinux).cause() == "rlimit-memlock");
  CHECK(under(map, SecurityModule::kNone).cause() == "unknown");
  Case none = limited(Case(Op::kMlock, EPERM, {0x10000000, kMib})).with(kRlimitMemlock, 0);
  CHECK(under(none, selinux).cause() == "rlimit-memlock");
  Case all = limited(Case(Op::kMlockall, ENOMEM, {MCL_CURRENT}));
  CHECK(under(all, selinux).cause() == "rlimit-memlock");
}

TEST_CASE("whether SELinux waives the admin reserve is not known: it widens the band") {
  Case c = root(mmap_case(3 * kGib));
  c.with(FactKey::kOvercommitMemory, 2);
  const auto with = [&](SecurityModule module) { return under(c, module).verdict(); };
  const Finding free = with(SecurityModule::kNone),
                confined = with(SecurityModule::kSelinuxEnforcing);
  REQUIRE((free.mode2 && confined.mode2));
  CHECK(free.mode2->admin_reserve_kb == 0);
  CHECK(confined.mode2->admin_reserve_kb == 8192);
  CHECK(confined.mode2->band_kb == free.mode2->band_kb + 8192);
  CHECK(has_text(confined.notes, "SELinux"));
  // The others have no say in it.
  CHECK(with(SecurityModule::kAppArmorConfined).mode2->admin_reserve_kb == 0);
  // Nor has it of who lacks the capability.
  CHECK(under(c.with(FactKey::kCapEff, 0), SecurityModule::kSelinuxEnforcing).verdict().band ==
        free.band);
}
