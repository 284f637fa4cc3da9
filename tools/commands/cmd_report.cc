// SPDX-License-Identifier: MIT
//
// `ovc report`: writes the page. It shows what the log holds, so like the log it is readable for
// its owner only.
#include "tools/commands/commands.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tools/report/report_page.h"
#include "tools/text/output.h"

namespace ovc {
namespace {

constexpr mode_t kOwnerOnly = 0600;

[[noreturn]] void fail(const std::string& path, int error) {
  throw Error(fmt::format("cannot write {}: {}", escaped(path), strerror(error)));
}

bool is_log(int fd, const std::string& log) {
  struct stat page {
  }, other{};
  return fstat(fd, &page) == 0 && stat(log.c_str(), &other) == 0 && page.st_dev == other.st_dev &&
         page.st_ino == other.st_ino;
}

void write_page(const std::string& path, const std::string& log, std::string_view page) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, kOwnerOnly);
  if (fd < 0) fail(path, errno);
  int error = 0;
  if (is_log(fd, log)) {
    close(fd);
    throw Error(fmt::format("{} is the log itself: name another file for the page", escaped(path)));
  }
  if (ftruncate(fd, 0) != 0 && errno != EINVAL) error = errno;  // EINVAL: a pipe or a device
  while (!page.empty() && error == 0) {
    const ssize_t n = write(fd, page.data(), page.size());
    if (n < 0 && errno != EINTR) error = errno;
    if (n > 0) page.remove_prefix(static_cast<size_t>(n));
  }
  if (close(fd) != 0 && error == 0) error = errno;
  if (error != 0) fail(path, error);
}

}  // namespace

int report(const ReportOptions& options) {
  const LogReader log(log_or_newest(options.log));
  Symbols symbols(log);
  ReportData data = gather_report(log, symbols, host_now());
  std::string page = report_page(log, data);
  if (options.page.empty() || options.page == "-") {
    Out out;
    out.text() = std::move(page);
    out.flush();
  } else {
    write_page(options.page, log.path(), page);
  }
  return data.why.found() ? 1 : 0;
}

}  // namespace ovc
