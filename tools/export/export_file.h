// SPDX-License-Identifier: MIT
//
// Where an export goes. A regular file is written under another name beside it and renamed when it
// is complete: whoever reads it meanwhile (node_exporter, a cron job) gets the old one or the new
// one, never a part.
#pragma once
#include <memory>
#include <string>

#include "tools/text/output.h"

namespace ovc {

// A file that is being made. Removed again unless commit() was called.
class NewFile {
 public:
  explicit NewFile(const std::string& path);  // throws Error
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  int fd() const { return fd_; }
  const std::string& path() const { return temporary_; }  // while it is being made
  void commit();                                          // throws Error

 private:
  std::string target_, temporary_;
  int fd_ = -1;
};

// Text to standard output (`path` empty), to a regular file as above, or straight into anything
// else (a FIFO, a device).
class ExportText {
 public:
  explicit ExportText(const std::string& path);
  ExportText(const ExportText&) = delete;
  ExportText& operator=(const ExportText&) = delete;

  std::string& text() { return out_.text(); }
  void done() { out_.done(); }
  void finish();

 private:
  int direct_;  // -1: none; open until the program ends
  std::unique_ptr<NewFile> file_;
  Out out_;
};

}  // namespace ovc
