// SPDX-License-Identifier: MIT
//
// The constructor: settings from the environment, the log, the private memory, libc's inner calls;
// then recording begins. And the destructor. Rules: the program has not started yet, so nothing
// here may leave a trace in it: no descriptor, no signal, no errno, no output except one line when
// recording cannot start.
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <unistd.h>

#include "shim/proc/proc_file.h"
#include "shim/proc/proc_files.h"
#include "shim/providers/providers.h"
#include "shim/record/log_file.h"
#include "shim/record/log_path.h"
#include "shim/record/process.h"
#include "shim/refuse/refuse.h"
#include "shim/session/complaint.h"
#include "shim/session/late.h"
#include "shim/session/start.h"
#include "shim/sys/auxv.h"
#include "shim/sys/libc_kind.h"
#include "shim/sys/thread_pointer.h"
#include "shim/sys/vdso.h"
#include "shim/unwind/known_stack.h"
#include "shim/unwind/memory.h"
#include "shim/unwind/startup_objects.h"

namespace ovcshim {
namespace {

const char* value_of(char** envp, const char* name) {
  const uint64_t len = sys::length(name);
  for (; envp && *envp; ++envp)
    if (sys::equal(*envp, name, len) && (*envp)[len] == '=') return *envp + len + 1;
  return nullptr;
}

// An empty value is none.
const char* set_value_of(char** envp, const char* name) {
  const char* value = value_of(envp, name);
  return value && *value ? value : nullptr;
}

bool same(const char* a, const char* b) {
  return sys::length(a) == sys::length(b) && sys::equal(a, b, sys::length(a));
}

// "16M", "64K", "1G", "4096". What is no size keeps the default: a typing error must not stop a
// server.
void parse_size(const char* text, uint64_t* to, uint64_t least, bool zero_allowed) {
  if (!text) return;
  const char* rest = text;
  uint64_t n = parse_number(text, &rest);
  if (n == kUnknown || n == kInfinite) return;
  const unsigned shift = *rest == 'K' || *rest == 'k'   ? 10
                         : *rest == 'M' || *rest == 'm' ? 20
                         : *rest == 'G' || *rest == 'g' ? 30
                                                        : 0;
  if ((shift == 0 && *rest) || n > (uint64_t{1} << 40 >> shift)) return;
  n <<= shift;
  *to = n == 0 && zero_allowed ? 0 : n < least ? least : n;
}

uint32_t parse_follow(const char* text) {
  return text && same(text, "none") ? 0 : text && same(text, "fork") ? 1 : 2;
}

Settings read_settings(char** envp) {
  Settings s;
  const char* on = value_of(envp, "OVCSHIM");
  s.enabled = !(on && same(on, "0"));
  const char* path = value_of(envp, "OVCSHIM_LOG");
  s.log.path_template = path && *path ? path : nullptr;
  parse_size(value_of(envp, "OVCSHIM_EVENTS_SIZE"), &s.log.events_bytes, 64 * 1024, false);
  parse_size(value_of(envp, "OVCSHIM_CALLS_SIZE"), &s.log.calls_bytes, 64 * 1024, true);
  parse_size(value_of(envp, "OVCSHIM_MIN_SIZE"), &s.log.min_size, 0, true);
  uint64_t depth = s.log.stack_depth;
  parse_size(value_of(envp, "OVCSHIM_STACK_DEPTH"), &depth, 0, true);
  s.log.stack_depth = static_cast<uint32_t>(depth < kMaxFrames - 8 ? depth : kMaxFrames - 8);
  s.log.follow = parse_follow(value_of(envp, "OVCSHIM_FOLLOW"));
  s.log.inject = set_value_of(envp, "OVCSHIM_INJECT");
  s.log.rehearse = set_value_of(envp, "OVCSHIM_REHEARSE");
  const char* internals = value_of(envp, "OVCSHIM_LIBC_INTERNALS");
  s.internals = !(internals && same(internals, "0"));
  return s;
}

// A tool of valgrind that looks at memory (memcheck, helgrind, drd, massif, dhat) loads a library
// of its own into what it runs, beside the one that all tools have.
bool memory_is_watched(char** envp) {
  constexpr char kTool[] = "/vgpreload_", kOfAll[] = "core";
  const char* preload = value_of(envp, "LD_PRELOAD");
  for (const char* at = preload; at && *at; ++at)
    if (sys::starts_with(at, kTool) && !sys::starts_with(at + sizeof kTool - 1, kOfAll))
      return true;
  return false;
}

// 16 random bytes of this program's start; none before Linux 2.6.29.
void mark_hots(const uint64_t* random) {
  if (random) g.hot_mark = (g.hot_mark ^ random[0]) | 1;
}

// The loader drops most preloads for set-uid programs; one that still arrives (from a trusted
// directory) stays passive.
bool is_secure_execution() { return auxv_value(g_auxv, AT_SECURE) != 0; }

const char* reason(int err) {
  static constexpr struct {
    int err;
    const char* text;
  } kReasons[] = {
      {ENOENT, "no such directory"},
      {EACCES, "permission denied"},
      {EEXIST, "exists and is not our log"},
      {EFBIG, "file too large"},
      {ENOSPC, "no space left"},
      {EROFS, "read-only filesystem"},
      {EDQUOT, "disk quota exceeded"},
      {ENOMEM, "out of memory"},
      {EPERM, "not permitted"},
      {ENODEV, "no shared mappings there"},
      {ENOTDIR, "not a directory"},
      {ELOOP, "symbolic link"},
      {ENOSYS, "the kernel, or a seccomp filter, has no such call"},
      {EINVAL, "invalid for this filesystem"},
  };
  for (const auto& row : kReasons)
    if (row.err == err) return row.text;
  return nullptr;
}

void complain(const char* why, int err, const char* path) {
  Complaint line(Complaint::About::kLog);
  line << "ovcshim: " << why << (path[0] ? " " : "") << path;
  if (const char* text = reason(err)) line << ": " << text;
  line << "; this program runs unrecorded";
  line.say();
}

// Whoever asks for a refusal wants to see one: a rule that is not understood is told, and none is
// in force.
bool understood(const SpecError& error, const char* variable) {
  if (!error.what) return true;
  Complaint line(Complaint::About::kRules);
  line << "ovcshim: " << variable << ": " << error.what << " at '" << error.at
       << "'; nothing is refused by it";
  line.say();
  return false;
}

void set_refusals(const Settings& s) {
  InjectSpec inject;
  RehearseSpec rehearse;
  if (s.log.inject) {
    g.inject_in_force = understood(parse_inject(s.log.inject, inject), "OVCSHIM_INJECT");
    if (!g.inject_in_force) inject = {};
  }
  if (s.log.rehearse) {
    g.rehearse_in_force = understood(parse_rehearse(s.log.rehearse, rehearse), "OVCSHIM_REHEARSE");
    if (!g.rehearse_in_force) rehearse = {};
  }
  install_refusals(inject, rehearse);
}

bool is_descendant() { return g.joined; }

void start(const Settings& s) {
  const SignalsWait wait;  // one for all files that are read on the way
  char path[kPathRoom]{};
  StartProblem problem{nullptr, 0, path};
  note_inherited_seccomp();
  g.start_pid = static_cast<uint32_t>(sys::call(__NR_getpid));
  keep_startup_objects(g_auxv, g.start_pid);
  sys::find_vdso(g_auxv, is_kept_head);
  g.start_ns = sys::clock_ns(CLOCK_MONOTONIC);
  if (!open_log(s.log, &problem.why, &problem.err, path))
    return complain(problem.why ? problem.why : "cannot start", problem.err, path);
  know_tick_rate();
  if (s.log.follow != 2 && is_descendant())
    return;  // an exec'd descendant that is not to be followed
  if (!map_private(problem)) return complain(problem.why, problem.err, "");
  know_main_stack(reinterpret_cast<uint64_t>(__builtin_frame_address(0)),
                  reinterpret_cast<uint64_t>(g_auxv));
  const StatFields stat = read_stat(0);
  enter_libc(s, stat, OtherThreads::kNone);
  set_refusals(s);
  begin_recording(s, stat);
}

}  // namespace
}  // namespace ovcshim

using namespace ovcshim;

namespace {

// glibc hands a constructor the program's arguments and environment; musl nothing, but has set
// `environ` by then. Others: not known to be there, so the shim only forwards.
char** environment(Libc libc, char** handed) {
  return libc == Libc::kGlibc ? handed : libc == Libc::kMusl ? environ : nullptr;
}

// Looked for only where it is: a dlsym that fails allocates. By name, since a reference would ask
// every libc for version 2.32.
void find_single_threaded() {
  if (glibc_minor() >= 32)
    note_single_threaded(static_cast<const char*>(resolve_one("__libc_single_threaded")));
}

}  // namespace

[[gnu::constructor]] static void ovcshim_start(int, char**, char** handed) {
  const int saved = errno;
  const Libc libc = libc_kind();
  if (libc == Libc::kGlibc && is_loaded_late()) {  // by `ovc attach`: nothing until it says so
    if (resolve_all()) serve_as_bound(), find_single_threaded(), note_late();
    errno = saved;
    return;
  }
  char** envp = environment(libc, handed);
  bool known = envp != nullptr;
  if (known) {
    g_auxv = auxv_behind(envp);
    if (memory_is_watched(envp)) sys::ask_no_addresses();
    known = note_libc_tls(libc, &t_hot, auxv_value(g_auxv, AT_HWCAP2));
    mark_hots(reinterpret_cast<const uint64_t*>(auxv_value(g_auxv, AT_RANDOM)));
  }
  if (resolve_all() && known && !is_secure_execution()) {
    const Settings settings = read_settings(envp);
    if (settings.enabled) {
      if (libc == Libc::kGlibc) find_single_threaded();
      start(settings);
    }
  }
  errno = saved;
}

[[gnu::destructor]] static void ovcshim_end() {
  const int saved = errno;
  end_process();
  errno = saved;
}
