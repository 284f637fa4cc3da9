// SPDX-License-Identifier: MIT
//
// Which file becomes the log: see log_file.h. A program that was started as root and executes
// itself or another one as somebody else cannot write root's log (and shall not: it would be root's
// word). It gets a second one beside it, named after the first and its own user; what both know is
// that process, and by it ovc puts them together. So does a process under an RLIMIT_AS that the
// first is too large for.
#include "shim/record/log_file.h"

#include <errno.h>
#include <fcntl.h>

#include "shim/proc/proc_file.h"
#include "shim/proc/proc_files.h"
#include "shim/record/log_path.h"
#include "shim/record/one_log.h"

namespace ovcshim {
namespace {

// An old log under the wanted name is evidence: it is kept as PATH.old.
bool move_aside(const char* path) {
  char old[kPathRoom + 8];
  const uint64_t len = sys::length(path);
  if (len >= kPathRoom) return false;
  sys::copy(old, path, len);
  sys::copy(old + len, ".old", 5);
  return !sys::failed(sys::call(__NR_renameat2, AT_FDCWD, reinterpret_cast<long>(path), AT_FDCWD,
                                reinterpret_cast<long>(old), 0));
}

enum class Content : uint8_t { kLog, kOther, kUnreadable };

Content content_of(const char* path) {
  char magic[16]{};
  const long fd = sys::call(__NR_openat, AT_FDCWD, reinterpret_cast<long>(path),
                            O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (sys::failed(fd)) return fd == -EACCES ? Content::kUnreadable : Content::kOther;
  const long n = sys::call(__NR_read, fd, reinterpret_cast<long>(magic), sizeof magic);
  sys::call(__NR_close, fd);
  return n == sizeof magic && sys::equal(magic, kMagic, sizeof kMagic) ? Content::kLog
                                                                       : Content::kOther;
}

// A file of another user's under the wanted name that is one, or that only its owner may read.
bool is_anothers_log(const char* path) {
  FileStat st{};
  const long uid = sys::call(__NR_geteuid);
  return !sys::failed(uid) && file_stat(AT_FDCWD, path, st) && st.is_regular() &&
         st.uid != static_cast<uint32_t>(uid) && content_of(path) != Content::kOther;
}

bool create_indexed(const char* path, const LogWish& wish, Problem& problem) {
  if (!create_log(path, wish, problem)) return false;
  // A name without placeholders leads descendants here by itself.
  if (!wish.path_template || has_placeholder(wish.path_template)) index_tree(path);
  return true;
}

// Most programs join. Another one may have made the log between the two.
bool create_or_join(const char* path, const LogWish& wish, Problem& problem) {
  bool foreign = false;
  if (join_log(path, problem, &foreign)) return true;
  if (problem.unopened) {
    problem = {};
    if (create_indexed(path, wish, problem)) return true;
    if (problem.err != EEXIST) return false;
    if (join_log(path, problem, &foreign)) return true;
  }
  // Only our own kind is moved: somebody's data under that name stays where it is.
  if (!foreign || content_of(path) != Content::kLog || !move_aside(path)) return false;
  return create_indexed(path, wish, problem);
}

bool open_here(const LogWish& wish, Problem& problem, char* path) {
  if (create_or_join(path, wish, problem)) return true;
  const bool anothers = is_anothers_log(path);
  char second[kPathRoom];
  if (!(anothers || problem.too_large) || !second_log_name(path, second, sizeof second))
    return false;
  Problem there;
  const bool ok = create_or_join(second, wish, there);
  if (ok || anothers) sys::copy(path, second, sys::length(second) + 1);
  if (ok || !anothers) return ok;
  problem = there;
  problem.anothers = true;
  problem.why = "the log is another user's, and this user's own beside it cannot be made:";
  return false;
}

bool open_default(const char* directory, const LogWish& wish, Problem& problem, char* path) {
  const uint64_t len = sys::length(directory);
  sys::copy(path, directory, len);
  if (!expand_template(kDefaultTemplate, path + len, kPathRoom - len))
    return problem.set("the name of the log is too long");
  return open_here(wish, problem, path);
}

// In the fallback directory only if its own place cannot be had: ovc looks there, too. First for
// that of its own tree, since the name that was given does not lead there.
bool open_elsewhere(const LogWish& wish, char* path) {
  char other[kPathRoom];
  Problem ignored;
  bool foreign = false;
  LogWish unnamed = wish;
  unnamed.path_template = nullptr;
  if (!(find_tree(other, sizeof other) && join_log(other, ignored, &foreign)) &&
      !open_default(kFallbackDirectory, unnamed, ignored, other))
    return false;
  sys::copy(path, other, sys::length(other) + 1);
  return true;
}

bool open_by_template(const LogWish& wish, Problem& problem, char* path) {
  if (!wish.path_template)
    return open_default("", wish, problem, path) ||
           open_default(kFallbackDirectory, wish, problem, path);
  if (!expand_template(wish.path_template, path, kPathRoom))
    return problem.set("OVCSHIM_LOG: the name is empty or too long");
  return open_here(wish, problem, path) ||
         ((problem.anothers || problem.too_large) && open_elsewhere(wish, path));
}

}  // namespace

bool open_log(const LogWish& wish, const char** why, int* err, char* path) {
  const SignalsWait wait;
  Problem problem;
  const bool fixed_name = wish.path_template && !has_placeholder(wish.path_template);
  bool foreign = false;
  if (!fixed_name && find_tree(path, kPathRoom) && join_log(path, problem, &foreign)) return true;
  problem = {};
  const bool ok = open_by_template(wish, problem, path);
  *why = problem.why;
  *err = problem.err;
  return ok;
}

}  // namespace ovcshim
