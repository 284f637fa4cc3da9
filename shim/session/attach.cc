// SPDX-License-Identifier: MIT
//
// Recording that begins in a program that runs already, and its end: see attach_order.h. ovc calls
// the entry in a thread that holds no lock, on a stack of its own, and sees to it that all other
// threads stand still where the order says so.
// Each recording begins with the shim's variables as the loader left them: they are copied aside
// before the first one and put back behind each, so nothing of an earlier recording is left in
// them. What threads have in thread-local variables no longer counts: the mark beside it is that of
// the earlier recording.
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <time.h>

#include "shim/format/attach_order.h"
#include "shim/interpose/bound_slots.h"
#include "shim/libc/libc_patch.h"
#include "shim/libc/loaded_libc.h"
#include "shim/proc/proc_file.h"
#include "shim/proc/proc_files.h"
#include "shim/record/hots.h"
#include "shim/record/leaving.h"
#include "shim/record/log_path.h"
#include "shim/record/process.h"
#include "shim/record/proofs.h"
#include "shim/record/snapshot.h"
#include "shim/session/late.h"
#include "shim/session/start.h"
#include "shim/sys/auxv.h"
#include "shim/sys/libc_kind.h"
#include "shim/sys/loaded_objects.h"
#include "shim/sys/seccomp.h"
#include "shim/sys/thread_pointer.h"
#include "shim/sys/vdso.h"
#include "shim/unwind/memory.h"
#include "shim/unwind/startup_objects.h"

extern "C" [[gnu::visibility("hidden")]] const ElfW(Ehdr) __ehdr_start;

namespace ovcshim {
namespace {

constinit AttachState g_state = AttachState::kPreloaded;
constinit uint32_t g_busy = 0;          // the process in which a step is under way
constinit uint64_t g_start = kUnknown;  // position of this recording's kStart
constinit uint64_t g_granted = 0;       // granted_count() then

// ---- the variables as the loader left them

struct Range {
  unsigned char* at;
  uint64_t bytes;
};

// What stays writable of the shim's own object.
Range own_variables() {
  const auto base = reinterpret_cast<uint64_t>(&__ehdr_start);
  auto* headers = reinterpret_cast<const ElfW(Phdr)*>(base + __ehdr_start.e_phoff);
  uint64_t start = UINT64_MAX, end = 0, read_only_end = 0;
  for (unsigned i = 0; i < __ehdr_start.e_phnum; ++i) {
    const ElfW(Phdr)& h = headers[i];
    const uint64_t h_start = base + h.p_vaddr, h_end = h_start + h.p_memsz;
    if (h.p_type == PT_GNU_RELRO) read_only_end = h_end & ~(kPageBytes - 1);
    if (h.p_type != PT_LOAD || !(h.p_flags & PF_W)) continue;
    start = h_start < start ? h_start : start;
    end = h_end > end ? h_end : end;
  }
  start = start < read_only_end ? read_only_end : start;
  return {reinterpret_cast<unsigned char*>(start), end - start};
}

constinit unsigned char* g_kept = nullptr;

bool keep_variables() {
  const Range own = own_variables();
  const long at = sys::call(__NR_mmap, 0, static_cast<long>(own.bytes), 3 /* RW */,
                            0x22 /* PRIVATE, ANONYMOUS */, -1, 0);
  if (sys::failed(at)) return false;
  g_kept = reinterpret_cast<unsigned char*>(at);
  sys::copy(g_kept, own.at, own.bytes);  // with the address of the copy in it
  return true;
}

void put_variables_back() {
  const Range own = own_variables();
  unsigned char* kept = g_kept;
  sys::copy(own.at, kept, own.bytes);
  g_kept = nullptr;
  sys::call(__NR_munmap, reinterpret_cast<long>(kept), static_cast<long>(own.bytes));
}

// ---- what a constructor gets from the kernel's table behind the environment

constinit uint64_t g_own_auxv[64]{};

void read_auxv() {
  const long fd = sys::call(__NR_openat, AT_FDCWD, reinterpret_cast<long>("/proc/self/auxv"),
                            O_RDONLY | O_CLOEXEC);
  if (sys::failed(fd)) return;
  const long n = sys::call(__NR_read, fd, reinterpret_cast<long>(g_own_auxv),
                           sizeof g_own_auxv - 2 * sizeof g_own_auxv[0]);
  sys::call(__NR_close, fd);
  if (n > 0) g_auxv = g_own_auxv;
}

// No number of an earlier recording, or of this program's start.
void new_mark() {
  struct {
    long sec, nsec;
  } now{};
  sys::call(__NR_clock_gettime, 7 /* CLOCK_BOOTTIME */, reinterpret_cast<long>(&now));
  const auto ns = static_cast<uint64_t>(now.sec) * 1000000000u + static_cast<uint64_t>(now.nsec);
  g.hot_mark = ((g.hot_mark ^ ns * 0x9e3779b97f4a7c15u) << 1) | 1;
}

#if defined(__aarch64__)
constexpr Clock kCounter = Clock::kCntvct;
#else
constexpr Clock kCounter = Clock::kTsc;
#endif

// ---- the steps

Settings settings_of(const AttachOrder& order) {
  Settings s;
  s.log.path_template = order.log;
  s.log.events_bytes = order.events_bytes;
  s.log.calls_bytes = order.malloc_family ? order.calls_bytes : 0;
  s.log.min_size = order.malloc_family ? order.min_size : 0;
  s.log.stack_depth = order.stack_depth < kMaxFrames - 8 ? order.stack_depth
                                                         : static_cast<uint32_t>(kMaxFrames - 8);
  return s;
}

bool refuse(AttachOrder& order, const char* why, int err = 0) {
  uint64_t n = sys::length(why);
  n = n < sizeof order.why - 1 ? n : sizeof order.why - 1;
  sys::copy(order.why, why, n);
  order.why[n] = '\0';
  order.err = err;
  return false;
}

bool later(AttachOrder& order) {
  order.again = 1;
  return refuse(order, "a thread loads or unloads a library; try again");
}

void give_memory_back() {
  if (const uint64_t page = near_page())
    sys::call(__NR_munmap, static_cast<long>(page), kPageBytes);
  forget_slots();
  give_hots_back();
  own_pid_is_at(nullptr);
  if (g_private) {
    const uint64_t bytes = (sizeof(Private) + kPageBytes - 1) & ~(kPageBytes - 1);
    sys::call(__NR_munmap, reinterpret_cast<long>(g_private), static_cast<long>(bytes));
  }
  if (g.header)
    sys::call(__NR_munmap, reinterpret_cast<long>(g.header), static_cast<long>(g.mapped_bytes));
  put_variables_back();
}

bool open_for(AttachOrder& order) {
  char path[kPathRoom]{};
  StartProblem problem{nullptr, 0, path};
  if (!keep_variables()) return refuse(order, "cannot map memory", ENOMEM);
  read_auxv();
  if (!g_auxv || auxv_value(g_auxv, AT_SECURE)) {
    const bool unread = !g_auxv;
    give_memory_back();
    return refuse(order, unread ? "/proc cannot be read in it" : "it is a set-uid program");
  }
  new_mark();
  note_inherited_seccomp();
  if (!note_libc_tls(Libc::kGlibc, &t_hot, auxv_value(g_auxv, AT_HWCAP2))) {
    give_memory_back();
    return refuse(order, "the thread's pointer is not libc's");
  }
  keep_startup_objects(g_auxv, sys::call(__NR_getpid));
  sys::find_vdso(g_auxv, is_kept_head);
  g.start_ns = sys::clock_ns(CLOCK_MONOTONIC);
  const Settings s = settings_of(order);
  g.attached = true;
  if (open_log(s.log, &problem.why, &problem.err, path) && !g.joined && map_private(problem)) {
    know_tick_rate();
    return true;
  }
  give_memory_back();
  return refuse(order, problem.why ? problem.why : "the log is there already", problem.err);
}

void bind_for(AttachOrder& order) {
  const BoundSlots bound = bind_slots();
  order.bound = g.bound_slots = bound.ours;
  order.bound_elsewhere = g.bound_elsewhere = bound.elsewhere;
  order.bound_unwritable = g.bound_unwritable = bound.unwritable;
}

bool begin_for(AttachOrder& order) {
  if (order.malloc_family && !loader_is_idle()) return later(order);
  const Settings s = settings_of(order);
  const StatFields stat = read_stat(0);
  enter_libc(s, stat, OtherThreads::kStopped);
  const InternalsWord word = internals_of(g.internals_word);
  order.internals = static_cast<uint32_t>(word.state);
  order.mem_error = word.mem_error, order.mprotect_error = word.mprotect_error;
  if (!g.internals) {
    give_memory_back();
    return refuse(order, "libc's system calls cannot be made visible");
  }
  if (order.malloc_family) bind_for(order);
  g_start = begin_recording(s, stat);
  g_granted = granted_count();
  return true;
}

bool list_for(AttachOrder& order) {
  if (!order.list.part_count || g_start == kUnknown) return refuse(order, "there is no list");
  write_read_list(g_start, order.list, g_granted == granted_count());
  return true;
}

bool end_for(AttachOrder& order) {
  if (g.bound_slots != kUnknown && !loader_is_idle()) return later(order);
  if (!give_libc_back()) return refuse(order, "libc's code is not as it was left");
  order.bound = give_slots_back();
  leave_process();
  g.recording = false;
  g.internals = false;
  return true;
}

bool close_for(AttachOrder&) {
  give_memory_back();
  return true;
}

struct Row {
  AttachStep step;
  AttachState from, to, after_failure;
  bool (*work)(AttachOrder&);
};
constexpr Row kSteps[] = {
    {AttachStep::kOpen, AttachState::kIdle, AttachState::kOpened, AttachState::kIdle, open_for},
    {AttachStep::kBegin, AttachState::kOpened, AttachState::kRecording, AttachState::kIdle,
     begin_for},
    {AttachStep::kList, AttachState::kRecording, AttachState::kRecording, AttachState::kRecording,
     list_for},
    {AttachStep::kEnd, AttachState::kRecording, AttachState::kEnded, AttachState::kRecording,
     end_for},
    {AttachStep::kClose, AttachState::kEnded, AttachState::kIdle, AttachState::kEnded, close_for},
    {AttachStep::kClose, AttachState::kOpened, AttachState::kIdle, AttachState::kOpened, close_for},
};

uint64_t now_ns() {
  struct {
    long sec, nsec;
  } now{};
  sys::call(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, reinterpret_cast<long>(&now));
  return static_cast<uint64_t>(now.sec) * 1000000000u + static_cast<uint64_t>(now.nsec);
}

// One step at a time. What a process was at when it forked this one, nobody is at here; but a log
// that was half made then stays so.
bool take_turn(AttachOrder& order) {
  const auto own = static_cast<uint32_t>(sys::call(__NR_getpid));
  uint32_t holder = 0;
  while (!__atomic_compare_exchange_n(&g_busy, &holder, own, false, __ATOMIC_ACQUIRE,
                                      __ATOMIC_RELAXED)) {
    if (holder == own) return refuse(order, "an earlier step is under way there; try again");
    if (holder && g_state == AttachState::kIdle)
      return refuse(order, "it was forked while ovc attached to its parent; restart it");
  }
  return true;
}

void set_turn(AttachOrder& order, AttachTurn turn) {
  __atomic_store_n(&order.turn, static_cast<uint32_t>(turn), __ATOMIC_RELEASE);
}
AttachTurn turn_of(const AttachOrder& order) {
  return static_cast<AttachTurn>(__atomic_load_n(&order.turn, __ATOMIC_ACQUIRE));
}

// Where ovc is seen, for as long as it holds this thread. Not seen from another pid namespace, so
// there is a limit: it stops this thread within microseconds, on a busy machine within many.
void wait_for_ovc(AttachOrder& order) {
  constexpr uint64_t kMostNs = 1000000000;
  char status[2048];
  const auto tracer = [&] {
    return read_file("/proc/thread-self/status", status, sizeof status) > 0
               ? find_value(status, "TracerPid:")
               : 0;
  };
  set_turn(order, AttachTurn::kOvc);
  const bool is_seen = tracer() != 0;
  const uint64_t begin = now_ns();
  while (turn_of(order) != AttachTurn::kBack) {
    if (is_seen ? tracer() != 0 : now_ns() - begin < kMostNs) continue;
    set_turn(order, AttachTurn::kAlone);
    return;
  }
}

const Row* row_for(AttachStep step) {
  for (const Row& row : kSteps)
    if (row.step == step && row.from == g_state) return &row;
  return nullptr;
}

}  // namespace

bool is_loaded_late() { return is_behind_libc(_DYNAMIC); }

void note_late() { g_state = AttachState::kIdle; }

}  // namespace ovcshim

// Leaves errno alone: it calls nothing of libc.
extern "C" [[gnu::visibility("default")]] uint64_t ovcshim_attach(ovcshim::AttachOrder* order) {
  using namespace ovcshim;
  const uint64_t begin = now_ns();
  if (!take_turn(*order)) {
    order->done = 0;
    order->state = AttachState::kBusy;
    wait_for_ovc(*order);
    return 0;
  }
  order->near_page = near_page();
  if (const Row* row = row_for(order->step)) {
    order->done = row->work(*order);
    if (!order->again) g_state = order->done ? row->to : row->after_failure;
  } else {
    order->done = refuse(*order, "the shim there is in another state");
  }
  order->state = g_state;
  order->clock = static_cast<uint32_t>(g.use_tsc ? kCounter : Clock::kMonotonicNs);
  order->own_ns = now_ns() - begin;
  __atomic_store_n(&g_busy, 0, __ATOMIC_RELEASE);
  wait_for_ovc(*order);
  return 0;
}
