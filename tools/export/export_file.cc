// SPDX-License-Identifier: MIT
//
// See export_file.h.
#include "tools/export/export_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "tools/log/log_reader.h"

namespace ovc {
namespace {

[[noreturn]] void cannot_write(const std::string& path) {
  throw Error(fmt::format("cannot write {}: {}", escaped(path), strerror(errno)));
}

// A link keeps pointing where it did: what it points to is replaced.
std::string link_target(const std::string& path) {
  std::error_code none;
  const auto real = std::filesystem::canonical(path, none);
  return none ? path : real.string();
}

mode_t mode_for(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) == 0) return status.st_mode & 07777;
  const mode_t mask = umask(0);
  umask(mask);
  return 0666 & ~mask;
}

// Something that cannot be replaced by a file: it is written to as it is. -1: no such thing.
int open_special(const std::string& path) {
  struct stat status {};
  if (path.empty() || stat(path.c_str(), &status) != 0 || S_ISREG(status.st_mode)) return -1;
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) cannot_write(path);
  return fd;
}

}  // namespace

NewFile::NewFile(const std::string& path) : target_(link_target(path)) {
  const std::filesystem::path target(target_);
  temporary_ = (target.parent_path() / ("." + target.filename().string() + ".XXXXXX")).string();
  fd_ = mkostemp(temporary_.data(), O_CLOEXEC);
  if (fd_ < 0) cannot_write(path);
}

NewFile::~NewFile() {
  if (fd_ < 0) return;
  close(fd_);
  unlink(temporary_.c_str());
}

void NewFile::commit() {
  if (fchmod(fd_, mode_for(target_)) != 0 || rename(temporary_.c_str(), target_.c_str()) != 0)
    cannot_write(target_);
  close(fd_);
  fd_ = -1;
}

ExportText::ExportText(const std::string& path)
    : direct_(path.empty() ? STDOUT_FILENO : open_special(path)),
      file_(direct_ < 0 ? std::make_unique<NewFile>(path) : nullptr),
      out_(file_ ? file_->fd() : direct_, path.empty() ? "standard output" : escaped(path)) {}

void ExportText::finish() {
  out_.flush();
  if (file_) file_->commit();
}

}  // namespace ovc
