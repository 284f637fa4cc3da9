// SPDX-License-Identifier: MIT
//
// See selinux_policy.h. security/selinux/selinuxfs.c: `access` is one question and one answer for
// each time it is opened; class/NAME/index and class/NAME/perms/NAME hold the policy's numbers.
#include "tools/host/selinux_policy.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

namespace ovc {
namespace {

using ovcshim::SecurityModule;

constexpr std::string_view kSelinuxFs = "/sys/fs/selinux";

std::optional<std::string> answer_to(const std::string& question, const std::string& path) {
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (file < 0) return std::nullopt;
  char text[256];
  const bool asked = write(file, question.data(), question.size()) == std::ssize(question);
  const ssize_t length = asked ? pread(file, text, sizeof text, 0) : -1;
  close(file);
  return length > 0 ? std::optional(std::string(text, static_cast<size_t>(length))) : std::nullopt;
}

std::optional<uint64_t> next_hex(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (code != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return value;
}

}  // namespace

std::optional<SecurityLabel> security_label(const SystemRoot& root, uint32_t pid) {
  int error = 0;
  auto text = read_small(fmt::format("{}/{}/attr/current", root.proc, pid), &error);
  if (!text && error == EINVAL) return SecurityLabel{};  // security_getprocattr(): nobody labels
  if (!text) return std::nullopt;
  while (!text->empty() && (text->back() == '\0' || text->back() == '\n')) text->pop_back();
  const auto enforces = [&] {
    return number_in(root.files + std::string(kSelinuxFs) + "/enforce").value_or(ovcshim::kUnknown);
  };
  const SecurityModule module = ovcshim::module_of_label(text->c_str(), enforces);
  return SecurityLabel{std::move(*text), module};
}

std::optional<bool> allowed_by(std::string_view answer, uint64_t permission) {
  constexpr uint64_t kPermissive = 1;  // AVD_FLAGS_PERMISSIVE
  uint64_t fields[6];
  for (uint64_t& field : fields) {
    const auto value = next_hex(answer);
    if (!value) return std::nullopt;
    field = *value;
  }
  if (permission < 1 || permission > 32) return std::nullopt;
  return (fields[0] >> (permission - 1) & 1) != 0 || (fields[5] & kPermissive) != 0;
}

std::optional<bool> selinux_allows(const SystemRoot& root, const std::string& label,
                                   const std::string& object_class, const std::string& permission) {
  const std::string top = root.files + std::string(kSelinuxFs),
                    of_class = top + "/class/" + object_class;
  const auto index = number_in(of_class + "/index"),
             number = number_in(of_class + "/perms/" + permission);
  if (!index || !number || label.find(' ') != label.npos) return std::nullopt;
  const auto answer = answer_to(fmt::format("{0} {0} {1}", label, *index), top + "/access");
  return answer ? allowed_by(*answer, *number) : std::nullopt;
}

}  // namespace ovc
