// SPDX-License-Identifier: MIT
//
// See proc_files.h.
#include "tools/host/proc_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "shim/format/log_format.h"

namespace ovc {
namespace {

constexpr size_t kBufferBytes = 1 << 16;

class File {
 public:
  explicit File(const std::string& path) : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool is_open() const { return fd_ >= 0; }
  ssize_t read_some(char* to, size_t bytes) const {
    for (;;) {
      const ssize_t n = read(fd_, to, bytes);
      if (n >= 0 || errno != EINTR) return n;
    }
  }

 private:
  int fd_;
};

}  // namespace

std::optional<std::string> read_small(const std::string& path, int* error) {
  std::string text(kBufferBytes, '\0');
  const File file(path);
  size_t have = 0;
  ssize_t n = file.is_open() ? 1 : -1;
  while (n > 0 && have < text.size()) {
    n = file.read_some(text.data() + have, text.size() - have);
    if (n > 0) have += static_cast<size_t>(n);
  }
  if (n < 0) {
    if (error) *error = errno;
    return std::nullopt;
  }
  text.resize(have);
  return text;
}

int for_each_line(const std::string& path, const std::function<void(std::string_view)>& each) {
  const File file(path);
  if (!file.is_open()) return errno;
  std::string buffer(kBufferBytes, '\0');
  size_t have = 0;
  for (;;) {
    const ssize_t n = file.read_some(buffer.data() + have, buffer.size() - have);
    if (n < 0) return errno;
    have += static_cast<size_t>(n);
    std::string_view rest(buffer.data(), have);
    for (size_t end = rest.find('\n'); end != rest.npos; end = rest.find('\n')) {
      each(rest.substr(0, end));
      rest.remove_prefix(end + 1);
    }
    if (!rest.empty() && (n == 0 || rest.size() == buffer.size())) {
      each(rest);
      rest = {};
    }
    if (n == 0) return 0;
    have = rest.size();
    buffer.replace(0, have, std::string(rest));
  }
}

std::optional<uint64_t> first_number(std::string_view text) {
  const size_t start = text.find_first_not_of(" \t");
  if (start == text.npos) return std::nullopt;
  text.remove_prefix(start);
  if (text.starts_with("max") || text.starts_with("unlimited")) return ovcshim::kInfinite;
  uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc{} ? std::optional(value) : std::nullopt;
}

std::optional<uint64_t> number_in(const std::string& path) {
  const auto text = read_small(path);
  return text ? first_number(*text) : std::nullopt;
}

std::optional<std::string_view> line_after(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.starts_with(key)) {
      line.remove_prefix(key.size());
      const size_t start = line.find_first_not_of(" \t");
      return start == line.npos ? std::string_view() : line.substr(start);
    }
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  return std::nullopt;
}

std::optional<uint64_t> number_after(std::string_view text, std::string_view key) {
  const auto rest = line_after(text, key);
  return rest ? first_number(*rest) : std::nullopt;
}

std::optional<uint64_t> namespace_inode(const std::string& path, int* error) {
  char text[64];
  const ssize_t n = readlink(path.c_str(), text, sizeof text);
  if (n < 0) {
    if (error) *error = errno;
    return std::nullopt;
  }
  const std::string_view link(text, static_cast<size_t>(n));
  const size_t open = link.find('[');
  return open == link.npos ? std::nullopt : first_number(link.substr(open + 1));
}

}  // namespace ovc
