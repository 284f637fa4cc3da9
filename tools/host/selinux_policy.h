// SPDX-License-Identifier: MIT
//
// What the loaded SELinux policy lets a process do to itself. The kernel is asked: whoever may read
// the policy's answers learns them from /sys/fs/selinux/access, and nothing is tried or logged.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "shim/format/security_label.h"
#include "tools/host/proc_files.h"

namespace ovc {

// Of /proc/PID/attr/current; nullopt: it cannot be read.
struct SecurityLabel {
  std::string text;  // raw; empty where no module labels processes
  ovcshim::SecurityModule module = ovcshim::SecurityModule::kNone;
};
std::optional<SecurityLabel> security_label(const SystemRoot& root, uint32_t pid);

// May who has this label do `permission` of `object_class` with itself, such as fork of process?
// nullopt: not told.
std::optional<bool> selinux_allows(const SystemRoot& root, const std::string& label,
                                   const std::string& object_class, const std::string& permission);

// Of the kernel's answer "ALLOWED ffffffff AUDITALLOW AUDITDENY SEQUENCE FLAGS", in hex but the
// fifth: is the permission of this number, from 1, in it, or the label's type permissive?
std::optional<bool> allowed_by(std::string_view answer, uint64_t permission);

}  // namespace ovc
