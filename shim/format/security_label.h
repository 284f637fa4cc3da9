// SPDX-License-Identifier: MIT
//
// What /proc/PID/attr/current says of the security module that labels the process.
#pragma once
#include "shim/format/log_format.h"

namespace ovcshim {

// "system_u:system_r:init_t:s0" is SELinux, "unconfined" or "name (enforce)" AppArmor. The label
// ends with 0 or a new line; `enforces`: /sys/fs/selinux/enforce, kUnknown if it cannot be read.
template <typename Enforces>
constexpr SecurityModule module_of_label(const char* label, Enforces enforces) {
  constexpr char kUnconfined[] = "unconfined";
  unsigned same = 0, colons = 0, brackets = 0;
  for (const char* c = label; *c; ++c) {
    same += same == static_cast<unsigned>(c - label) && same < sizeof kUnconfined - 1 &&
            *c == kUnconfined[same];
    colons += *c == ':';
    brackets += *c == '(';
  }
  if (colons >= 3) {
    const uint64_t value = enforces();
    return value == kUnknown ? SecurityModule::kSelinux
           : value == 0      ? SecurityModule::kSelinuxPermissive
                             : SecurityModule::kSelinuxEnforcing;
  }
  if (same == sizeof kUnconfined - 1) return SecurityModule::kAppArmorUnconfined;
  return brackets ? SecurityModule::kAppArmorConfined : SecurityModule::kOther;
}

// It can refuse the process what ids and capabilities permit it, and keep it from using those that
// /proc/PID/status shows.
constexpr bool can_deny(SecurityModule module) {
  switch (module) {
    case SecurityModule::kSelinuxEnforcing:
    case SecurityModule::kSelinux:
    case SecurityModule::kAppArmorConfined:
    case SecurityModule::kOther: return true;
    default: return false;
  }
}

}  // namespace ovcshim
