// SPDX-License-Identifier: MIT
//
// THE LOG: the one interface between the shim (writer) and ovc (reader). This comment is its
// specification.
//
// WHAT A LOG IS
//   One regular file per started program and all its descendants, fallocated in full at creation
//   and mapped MAP_SHARED by every process of the tree. Nothing is buffered elsewhere: what a call
//   recorded before it returned is in the page cache, so it survives the death of every writer
//   (SIGKILL, OOM kill, abort). It is a flight recorder: the newest data replaces the oldest, the
//   losses are counted. Zero bytes mean "never written" everywhere.
//   A process of the tree that cannot write it (another user by exec) or map it (RLIMIT_AS) has a
//   second log; that a process is in both, with its start time, says that they belong together.
//   Integers are in the byte order of the machine that wrote them; the header's magic and endian
//   mark tell.
//
// AREAS, in this order, at the offsets FileHeader::areas gives
//   FileHeader     one page: identity, host facts, clock calibration, cursors and loss counters;
//                  then two more pages: totals of retired processes, and an index of the pids in
//                  the process table
//   ProcessSlot[]  who ran: one per process image family (pid + start time); reused when its
//                  process has died
//   Stripe[]       exact counters, one per (process, thread) pair that ever recorded; never
//                  overwritten, see below
//   event lane     Slot[n], 256 bytes each, in two rings of the same form:
//     vitals       fork family, exec, waits, starts and ends, changes of limits and namespaces,
//                  refusals with the snapshot that proves them, lists of mappings and of modules:
//                  what must not be pushed out by a program that maps and unmaps by the thousand
//     events       shared memory and locks, every other failure, every malloc-family request
//                  >= kBigRequestBytes, and what of the mmap family has no place in the next
//   growth         who made each process grow: growth_format.h is its specification
//   readings       figures over time, spread over the log's life: readings_format.h
//   memory         the event lane's third ring, calls of the mmap family that were granted, 32
//                  bytes each: memory_format.h is its specification
//   call lane      Chunk[n], 4096 bytes each: every other malloc-family call, 16 bytes a record
//
// EVENT LANE
//   A record takes `parts` consecutive slots (1..kMaxParts). A writer gets their positions by one
//   atomic add on its ring's cursor. A position has kVitalBit set if it is one of the vitals ring;
//   without that bit it counts the slots claimed so far, and lives in slot (count % n) of its ring.
//   Every slot starts with a word (see slot_word):
//       status   who may write the slot                    what a reader does
//       kEmpty   anyone who claimed its position           nothing is here
//       kBusy    only the claimer, which is filling it     skip, count as torn if it stays
//       kReady   anyone who claims a newer position        accept
//       kUpdate  only the thread that completes the call;  accept, but treat the call as not yet
//                the base up to and including `before`     returned
//                is valid, completion fields are not
//   Claim: compare-and-swap from (kEmpty | kReady with an older position) to kBusy. A slot that is
//   kBusy or kUpdate is never taken: its owner may be alive. The claimer then voids what it took
//   (kReady with parts = 0), counts events_lost_busy and tries newer positions. A writer killed
//   inside the copy of one record therefore costs its slots for the life of the log (256 bytes
//   each; `ovc stats` counts them), and never blocks or tears anything.
//   Commit: the words of parts n-1 .. 0 are stored with release order, part 0 last.
//   A RECORD IS VALID if and only if part 0 says kReady or kUpdate, its own position, part 0 and
//   parts >= 1, and every further part i says kReady, position + i, part i, same parts, before and
//   after the bytes were copied out. The payload is the concatenation of the slots' bytes after
//   their words: EventBase, then `frames` addresses of 8 bytes, then `text_len` bytes of text (not
//   terminated), then `facts` Fact entries, then `mappings` MappingEntry entries.
//
//   Calls that can change the process (fork family, exec, exit) and calls that can block (waits)
//   are committed BEFORE they are forwarded, with kIntent set in `flags`; completion updates the
//   record in place (kUpdate) and clears kIntent. If the ring has passed the record meanwhile, a
//   new record with the same content and kLateCompletion is written.
//
// CALL LANE
//   A chunk belongs to one thread. Claim: positions come from an atomic add on
//   FileHeader::chunk_cursor; the chunk's owner word is compare-and-swapped from free, closed, or
//   owned by a thread that is known dead (tkill says ESRCH in the same pid namespace). Chunks of
//   live threads are passed over, so an idle thread neither blocks the ring nor is torn; who asked
//   after one notes it in the chunk (alive_at), and others need not ask for some laps. The new
//   owner counts what it erases (calls_overwritten), clears the chunk, writes its header and then
//   records. One that is killed between the count and the clearing leaves the records readable, and
//   the next owner counts them again. A thread closes its full chunk before it claims the next.
//   Record words: `aux` first, `word` (never 0) last.
//   `ready` of the header is 0 while the chunk is cleared and given a new header: what a reader
//   copied is one claim's iff `ready` was 1 and `claim` the same before and after.
//   A record is valid iff word != 0. A zero word between valid ones is a call whose thread was
//   interrupted: skip it. The record at each chunk offset that is a multiple of kTimeMarkBytes (but
//   0) is a time mark (CallOp::kTime): aux = tick count. The header's opened_tick marks the first
//   group. Order inside a thread is exact (sequence numbers run on); a call's time lies between its
//   group's mark and the next mark of the same thread.
//
// PROOFS
//   A refused call is proven by a kSnapshot about it and, where it is due, by a list of mappings
//   (kMappings) about it. A refusal that is the same as an earlier one (same call, errno and place
//   in the program) while nothing was granted to the process since has none of its own: its fact
//   kProvenBy gives the position of the earlier event, whose snapshot and list hold for it too.
//   A snapshot of such a storm that has no list (no kMapsSource) carries the sums of the last one
//   (kMapsCount and its neighbours) as long as nothing was granted since: they hold when that list
//   has been overwritten.
//   EAGAIN of the fork family, and ENOMEM of popen where nothing inside it was refused memory, is a
//   limit on tasks: no list belongs to it, and what was granted in memory meanwhile does not count.
//
// COUNTERS
//   Stripe counters are plain adds by one thread at a time (kSharedStripe: atomic adds). They are
//   cumulative over all threads that used the stripe, all of one process. When a dead process's
//   slot is needed again, its stripes are folded into FileHeader::retired, double-buffered: the new
//   totals are written beside the old ones with the mark of what was folded, then `retired_version`
//   is stepped. A reader that finds a stripe equal to retired[version & 1].last_folded skips it.
//
// READER ALGORITHM
//   1. Check magic, endian mark, machine, incompatible flags, sizes against the file's length.
//   2. Events: in each ring, for p from max(0, cursor - n) to cursor: accept valid records, step by
//      their parts. Each ring is in claim order; begin_tick puts the three together.
//   3. Calls: for each chunk with an owner word: walk its records; order chunks of one thread by
//      first_seq.
//   4. Never trust a count or offset from the file without a bound check; a live log changes while
//      it is read.
//
// VERSIONS
//   kFormatVersion grows with every change (tests/old_logs has a log of each); fields are appended
//   in reserved space, never moved: any older or newer version is read, but where a bit of
//   incompatible_flags is not known: refuse. One of compatible_flags: ignore.
#pragma once
#include <cstddef>
#include <cstdint>

namespace ovcshim {

inline constexpr char kMagic[16] = {'o', 'v', 'c', 's',  'h',  'i',    'm',  '-',
                                    'l', 'o', 'g', '\r', '\n', '\x1a', '\n', '\0'};
inline constexpr uint32_t kEndianMark = 0x01020304;
// 2: the event lane has two rings; 3: more calls; 4: a proof may be an earlier refusal's, and the
// number of stripes varies
inline constexpr uint32_t kFormatVersion = 4;
inline constexpr uint64_t kTwoRings =
    1 << 0;  // incompatible: a reader of version 1 would miss the vitals
inline constexpr uint64_t kMemoryRing =
    1 << 1;  // incompatible: a reader without it would miss mappings
inline constexpr uint64_t kKnownIncompatibleFlags = kTwoRings | kMemoryRing;

inline constexpr uint64_t kPageBytes =
    4096;  // granule of the file's areas, not the host's page size
inline constexpr uint64_t kSlotBytes = 256;  // one event-lane slot
inline constexpr uint64_t kSlotPayloadBytes = kSlotBytes - 8;
inline constexpr uint32_t kMaxParts = 32;  // slots of one record
inline constexpr uint64_t kChunkBytes = 4096;
inline constexpr uint64_t kChunkHeaderBytes = 64;
inline constexpr uint64_t kCallRecordBytes = 16;
inline constexpr uint64_t kTimeMarkBytes = 256;  // one call record in 16 is a time mark
inline constexpr uint64_t kBigRequestBytes =
    128 * 1024;  // malloc-family requests from here on are events
inline constexpr uint32_t kProcessSlots = 1024;
inline constexpr uint32_t kStripes = 6144;  // of a new log of the usual size; how many one has:
                                            // FileHeader::stripes. More live threads share one
inline constexpr uint32_t kNoIndex = 0xffffffff;
inline constexpr uint64_t kUnknown = UINT64_MAX;  // a figure that could not be read; never a guess
inline constexpr uint32_t kMaxFrames = 64;

// Calls and record kinds. Numbers are for ever; append only. 1..15 also serve the call lane (4 bits
// there).
enum class Op : uint16_t {
  kNone = 0,
  // malloc family. args:                    result (address unless noted)
  kMalloc = 1,         // size
  kCalloc = 2,         // nmemb, size
  kRealloc = 3,        // old address, size
  kReallocarray = 4,   // old address, nmemb, size
  kFree = 5,           // address           0
  kPosixMemalign = 6,  // alignment, size, address stored   the return code
  kAlignedAlloc = 7,   // alignment, size
  kMemalign = 8,       // alignment, size
  kValloc = 9,         // size
  kPvalloc = 10,       // size
  kReallocFrom =
      11,      // call lane only: the block given to the realloc/reallocarray record that follows
  kTime = 14,  // call lane only: time mark
  // address space
  kMmap = 16,      // addr, len, prot, flags, fd, offset
  kMunmap = 17,    // addr, len         0
  kMremap = 18,    // old addr, old len, new len, flags, new addr
  kMprotect = 19,  // addr, len, prot, for pkey_mprotect the key + 1   0
  kBrk = 20,   // addr              0; for kInsideLibc and kRawSyscall the system call's own result:
               // the new break
  kSbrk = 21,  // increment         old break
  kMadvise = 22,         // addr, len, advice 0; a success that changes no charge and no mapping is
                         // counted, not recorded
  kRemapFilePages = 23,  // addr, size, prot, pgoff, flags   0
  // shared memory of System V, locks
  kShmget = 24,      // key, size, flags    identifier
  kShmat = 25,       // shmid, addr, flags  address
  kShmdt = 26,       // addr                0
  kMlock = 27,       // addr, len           0
  kMlock2 = 28,      // addr, len, flags    0
  kMlockall = 29,    // flags               0
  kMunlock = 30,     // addr, len           0
  kMunlockall = 31,  //                     0
  // fork family, see is_fork_op. result: child pid. On completion args[5] = Committed_AS after, kB
  // (kUnknown if not read); of fork and _Fork args[4] = the caller's minor page faults so far (0 or
  // kUnknown: not read)
  kFork = 32,
  kUnderscoreFork = 33,
  kVfork = 34,
  kClone = 35,          // flags, stack, fn (0 for the system call), parent_tid, tls
  kPthreadCreate = 36,  // attr != 0, start routine          the return code (an errno value or 0)
  kPosixSpawn = 37,     // child pid, argc, 1 if LD_PRELOAD is passed on, strings in the environment
                        // (as of exec), after E2BIG the bytes of all strings, and of the longest;
                        // text: the path. The return code. Copies no memory: vfork beneath
  kPosixSpawnp = 38,    // the same, the file is searched for in PATH
  // waits. result: pid (waitid: 0). But for waitid args[4] = the caller's minor page faults so far
  // (0 or kUnknown: not read)
  kWait = 40,     // pid, options, wait status
  kWaitpid = 41,  // pid, options, wait status
  kWait3 = 42,    // pid (-1), options, wait status, ru_maxrss kB if asked for
  kWait4 = 43,    // pid, options, wait status, ru_maxrss kB if asked for
  kWaitid = 44,   // idtype, id, options, si_code, si_status, si_pid
  // exec family; text: the path. args: argc, 1 if the environment given has LD_PRELOAD with the
  // shim in it, strings in it (kUnknown, all three: the program's own seccomp filter was in force);
  // after E2BIG the bytes of all strings, and of the longest
  kExecve = 48,
  kExecveat = 49,
  kFexecve = 50,
  kExecv = 51,
  kExecvp = 52,
  kExecvpe = 53,
  kExecl = 54,
  kExeclp = 55,
  kExecle = 56,
  // ends asked for
  kExit = 60,  // status, minor page faults since the fork (getrusage; 0 or kUnknown: not read),
               // errno of the thread just then (0: none, or not read)
  kUnderscoreExit = 61,  // the same (_exit and _Exit)
  kAbort = 62,
  // the fork family goes on
  kPopen = 64,  // text: the command               the stream. The child's pid is libc's secret
  kSystem =
      65,  // 1 if there is a command; text: the command   the wait status. Waits for its child.
           // Of both, if it was too long (popen: also after ENOMEM): args[1] to [5] as of spawn
  kDaemon = 66,   // nochdir, noclose                the child's pid: it completes the record; the
                  // parent is gone (_exit(0))
  kForkpty = 67,  //                                 child pid
  kPidfdSpawn =
      68,  // pidfd, argc, LD_PRELOAD, strings in the environment; text: the path   the return code
  kPidfdSpawnp = 69,  // the same
  kThrdCreate =
      70,  // 0, start routine                thrd_success ... thrd_nomem; err: what it stands for
  kWordexp =
      71,  // flags; text: the words          0 or WRDE_*. Starts a shell for command substitution
  // what children will be born into
  kUnshare = 72,  // flags        0
  kSetns = 73,    // fd, nstype   0
  // objects of shared memory, and what cuts and fills files: a tmpfs is charged by the page
  kShmOpen = 80,         // oflag, mode; text: the name   descriptor
  kMemfdCreate = 81,     // flags; text: the name         descriptor
  kFtruncate = 82,       // fd, length                    0
  kFallocate = 83,       // fd, mode, offset, length      0
  kPosixFallocate = 84,  // fd, offset, length            the return code
  // limits, in the unit of the resource; kInfinite: RLIM_INFINITY
  kSetrlimit = 85,  // resource, soft, hard              0
  kPrlimit = 86,    // pid, resource, new soft, new hard (kUnknown, kUnknown: only asked), old soft,
                    // old hard (kUnknown: not asked)
  // ends asked for, continued
  kQuickExit = 87,  // as kExit; no destructor runs, so no kEnd follows
  // signals sent that can end a process (see shim/interpose/interpose_signal.cc). As given: a pid
  // may be 0 or negative
  kKill = 91,             // pid, signal                 0
  kTgkill = 92,           // pid, tid, signal            0
  kSigqueue = 93,         // pid, signal                 0
  kPidfdSendSignal = 94,  // pidfd, signal, flags, pid behind it (0: not known)   0
  kCallOps = 96,          // end of the counted calls
  // records about the process, not calls
  kStart = 128,     // an image begins or a child is first seen. text: exe path. facts: baseline.
                    // args[0] = 1: it ran already, recording begins here (ovc attach)
  kEnd = 129,       // normal end reached: destructors run. facts: /proc/self/status.
                    // args[0] = 1: it lives on, recording ends here (ovc detach)
  kSnapshot = 130,  // args[0] = position of the event it proves. facts; text: the control groups of
                    // the process, a line each from its own to the topmost visible one:
                    // "pids VERSION LEVEL LIMIT USED REFUSALS PATH",
                    // "hugetlb VERSION LEVEL LIMIT USED PATH" (about huge pages only) and
                    // "memory VERSION LEVEL LIMIT USED HITS KILLS PATH"; LEVEL 0 is its own, only
                    // the first line has the PATH; "max": no limit, "-": not known
  // One part of a list of all mappings, taken between begin_tick and end_tick. args: position of
  // the event it is about (a refusal, kStart, kEnd, or the first kModule of a new list), index of
  // first entry, entries in the list, 1 = list is complete, from which tick on this part was read
  // (0: from begin_tick on). begin_tick is that of the whole list, end_tick the part's: other
  // threads may have made calls meanwhile. The last part has facts.
  kMappings = 131,
  // args: start, end, load bias, build id length; without a build id the file's inode and the time
  // of its last change (st_ctim, ns), 0 each if not known. facts: none. text: build id bytes, then
  // path
  kModule = 132,
};

// Whatever makes a process or a thread.
constexpr bool is_fork_op(Op op) {
  return (op >= Op::kFork && op <= Op::kPosixSpawnp) || (op >= Op::kPopen && op <= Op::kWordexp);
}
// What lives in the vitals ring whatever becomes of it.
constexpr bool is_vital_op(Op op) {
  return op >= Op::kFork && op != Op::kSnapshot &&
         !(op >= Op::kShmOpen && op <= Op::kPosixFallocate);
}

// EventBase::flags
enum EventFlag : uint16_t {
  kFailed = 1 << 0,  // the call reported failure; err holds its errno (pthread/posix codes too)
  kIntent = 1 << 1,  // recorded before forwarding; not (yet) known to have returned
  kLateCompletion = 1 << 2,  // a completed record that repeats an intent which the ring had passed
  kInsideLibc = 1 << 3,  // seen at the system call inside libc (OVCSHIM_LIBC_INTERNALS), not at an
                         // exported symbol
  kEarly = 1 << 4,       // came before the shim's constructor
  kInjected = 1 << 5,    // refused by OVCSHIM_INJECT, never given to the kernel
  kRehearsed = 1 << 6,   // refused by OVCSHIM_REHEARSE, never given to the kernel
  kStackCut = 1 << 7,    // the stack was longer or could not be followed further
  kChildSide = 1 << 8,   // written by the new child
  kRawSyscall = 1 << 9,  // made through syscall(2): arguments and result are the system call's own
};

// The state a call met. kUnknown where not read.
struct CommitState {
  uint64_t age_ns;          // how old the reading was when the call was forwarded
  uint64_t committed_kb;    // /proc/meminfo Committed_AS
  uint64_t limit_kb;        // /proc/meminfo CommitLimit
  uint64_t vm_size_pages;   // /proc/self/statm: total_vm
  uint64_t resident_pages;  //   rss
  uint64_t data_pages;      //   data_vm + stack_vm
};
static_assert(sizeof(CommitState) == 48);

// First bytes of every event's payload. Offsets in comments count from the start of the slot.
struct EventBase {
  uint64_t begin_tick;  //   8  FileHeader::clock says what a tick is
  uint64_t end_tick;    //  16  0 while kIntent
  uint32_t pid, tid;    //  24  as the process itself sees them (its pid namespace)
  Op op;                //  32
  uint16_t flags;       //  34  EventFlag
  uint16_t err;         //  36  errno of a failed call
  uint16_t frames;      //  38  return addresses that follow, innermost first; frames[0] == caller
  uint32_t process;     //  40  index into ProcessSlot[], kNoIndex if none could be had
  uint32_t process_serial;  //  44  equals ProcessSlot::serial while that slot still describes this
                            //  process
  uint32_t image;           //  48  which set of kModule records gives names to addresses
  uint16_t text_len;        //  52
  uint8_t facts;            //  54
  uint8_t mappings;         //  55
  uint64_t call_seq;        //  56  call-lane records this thread had made before
  int64_t result;           //  64
  uint64_t caller;          //  72  return address of the interposed call
  uint64_t args[6];         //  80  see Op
  CommitState before;       // 128
};                          // 176
static_assert(sizeof(EventBase) == 168);

// Slot words: status 2 bits | part 6 | parts 6 | position 50.
enum class SlotStatus : uint64_t { kEmpty = 0, kBusy = 1, kReady = 2, kUpdate = 3 };
constexpr uint64_t slot_word(SlotStatus status, uint64_t part, uint64_t parts, uint64_t position) {
  return static_cast<uint64_t>(status) | part << 2 | parts << 8 | position << 14;
}
constexpr SlotStatus slot_status(uint64_t word) { return static_cast<SlotStatus>(word & 3); }
constexpr uint64_t slot_part(uint64_t word) { return word >> 2 & 63; }
constexpr uint64_t slot_parts(uint64_t word) { return word >> 8 & 63; }
constexpr uint64_t slot_position(uint64_t word) { return word >> 14; }
inline constexpr uint64_t kPositionMask = (uint64_t{1} << 50) - 1;
inline constexpr uint64_t kVitalBit = uint64_t{1}
                                      << 49;  // of a position: it counts slots of the vitals ring
inline constexpr uint64_t kMemoryBit = uint64_t{1} << 48;  // it counts units of the memory ring

struct Slot {
  uint64_t word;
  unsigned char payload[kSlotPayloadBytes];
};
static_assert(sizeof(Slot) == kSlotBytes);

// A figure read from the system, in the unit its name gives. Unknown keys are to be kept and passed
// over.
// clang-format off
enum class FactKey : uint32_t {
  kNone = 0,
  kPosixNs = 1,               // CLOCK_REALTIME at the record's begin_tick (calibration pair with begin_tick)
  kMonotonicNs = 2,           // CLOCK_MONOTONIC at the same moment
  // /proc/meminfo, kB
  kMemTotalKb = 10, kMemFreeKb, kMemAvailableKb, kBuffersKb, kCachedKb, kSwapCachedKb, kSwapTotalKb, kSwapFreeKb, kShmemKb,
  kSReclaimableKb, kKReclaimableKb, kCommitLimitKb, kCommittedAsKb, kHugePagesTotal, kHugePagesFree, kHugePagesRsvd, kHugepagesizeKb,
  kHugetlbKb,
  // /proc/sys/vm
  kOvercommitMemory = 40, kOvercommitRatio, kOvercommitKbytes, kUserReserveKb, kAdminReserveKb, kMaxMapCount, kMmapMinAddr,
  // /proc/self/status
  kVmDataKb = 50, kVmStkKb, kVmLckKb, kVmSizeKb, kThreads, kSeccomp, kCapEff, kUid, kVmPinKb, kNoNewPrivs,
  // prlimit, soft limits; RLIM_INFINITY = UINT64_MAX - 1 here, since kUnknown is UINT64_MAX
  kRlimitAs = 70, kRlimitData, kRlimitMemlock, kRlimitNproc, kRlimitStack, kRlimitNofile, kRlimitFsize,
  // tasks
  kThreadsMax = 80, kPidMax, kTasksTotal /* second number of loadavg's n/m */, kSchedPolicy,
  kPidNs, kPidForChildrenNs /* inode numbers; 0 = link unreadable */, kUserNsIdentity /* 1: uid_map is 0 0 4294967295 */,
  // cgroup of the process (v1 and v2 alike; 0-based nearest first is the reader's business)
  kMemcgVersion = 90, kMemcgLimit /* bytes, UINT64_MAX-1 = max */, kMemcgUsage, kMemcgFailcnt /* v1 failcnt, v2 events max */,
  kMemcgOom /* v2 events oom */, kMemcgOomKill, kMemcgOomKillDisable,
  kPidsMax = 100, kPidsCurrent, kPidsEventsMax,
  kVmstatOomKill = 110,
  // totals over the mapping list, computed while it was read (exact even when the list itself is
  // cut). kB / counts
  kMapsCount = 120, kMapsAcKb /* ac and not dc */, kMapsAcCount, kMapsDcKb /* ac and dc */, kMapsNrKb, kMapsBiggestAcKb,
  kMapsBiggestAcStart, kMapsReadNs, kMapsSource /* 1 smaps, 2 maps */,
  kSharedWritableKb,
  // the shim about itself
  kOwnMappedKb = 140, kOwnCommitKb, kOwnStartNs, kInternals /* InternalsState */, kRing /* 1 = joined an existing log */,
  kParentPid = 150, kStartTicks /* /proc/self/stat field 22, clock ticks since boot */, kParentStartTicks,
  // what a rehearsed refusal (kRehearsed) was decided from: the setting rehearsed, and what the
  // kernel's own rule would have compared
  kRehearsedMode = 170, kRehearsedLimitKb /* mode 2: CommitLimit; mode 0: RAM + swap */, kRehearsedChargeKb, kRehearsedCommittedKb,
  kRehearsedAllowedKb /* mode 2: limit - reserves; mode 0: the limit */,
  // the log's size, of its creator, in FileHeader::host: as asked for, as made, what it had to fit in
  // (LogBound), and how much of that was left
  kLogWantedKb = 300, kLogGivenKb, kLogBound, kLogBoundLeftKb,
  kProvenBy = 320 /* of a refused call: position of the refusal whose snapshot holds for it, see PROOFS */,
  // kSnapshot with a list: who held the most private memory then. Rows of CallTotals, kB of each at the same
  // distance, kB of all rows, 1 if there were more than could be added up (growth_format.h)
  kHolderRow = 370 /* to 377 */, kHolderKb = 378 /* to 385 */, kHeldKb = 386, kHoldersCut,
  // What decides an errno that has several sources (shim/record/errno_facts.h): read right after the failure.
  kMdwe = 240 /* prctl(PR_GET_MDWE) */, kSecurityModule /* SecurityModule */,
  // the file behind the descriptor: F_GETFL (kNotOpen), st_mode, fstatfs, F_GET_SEALS
  kFileOpenFlags = 242, kFileMode, kFileFsType, kFileFsBlock, kFileFsFlags, kFileFsBlocks, kFileFsFree, kFileSeals,
  // /sys/kernel/mm/hugepages: bit n: pages of 2^n bytes; the pool of the size asked for; its control group (bytes reserved)
  kHugeSizes = 250, kHugePoolKb, kHugePoolFree, kHugePoolRsvd, kHugePoolSurplus, kHugePoolOvercommit, kHugeGroupMax, kHugeGroupUsage,
  // the lowest user.max_*_namespaces among the kinds asked for, and which kind (its CLONE_NEW* flag)
  kNamespaceLimit = 258, kNamespaceLimitKind, kUsernsRestricted /* kernel.apparmor_restrict_unprivileged_userns */,
  kUsernsClone /* kernel.unprivileged_userns_clone */, kChrooted /* 1 yes, 0 no; absent: not known */, kEgid,
  // kernel.shmmax, shmall, shmmni; shmctl(SHM_INFO)
  kShmMax = 264, kShmAll, kShmMni, kShmUsedPages, kShmUsedIds,
  kRlimitHard = 269 /* setrlimit: the hard limit that stayed */,
  // kStart only, where OVCSHIM_INJECT or OVCSHIM_REHEARSE was set: 1 it was understood and is in force, 0 it refuses nothing
  kInjectInForce = 270, kRehearseInForce,
  // beside the files of /proc: sysinfo(2), and which of the files are procfs's own
  kSysinfoRamKb = 200, kSysinfoSwapKb, kSysinfoTasks /* modulo 65,536 */,
  kForeignFiles /* HostFile bits: something else is mounted there; absent: not looked at */,
  kForeignFsType /* statfs f_type of the first of them */,
  // whose figures kPids* and kMemcg* are: 1 the process's own group (or the nearest above it that
  // has the controller), 2 the root of the hierarchy, which has no limit; absent: not certain
  kPidsGroup = 205, kPidsGroupsSeen /* 1: the groups above are visible up to the root */, kMemcgGroup, kMemcgGroupsSeen,
  // a task refused with EAGAIN: errno of clones that can never make one. kForkProbe fails behind
  // all checks but the control group's (EFAULT), kForkProbeEarly behind RLIMIT_NPROC and
  // threads-max and before the process number (EPERM)
  kForkProbe = 209, kForkProbeEarly,
  kMapsOutsideCount = 211 /* of kMapsCount: [vsyscall], which is listed but no mapping */,
  kPidsVersion = 221 /* of the hierarchy of kPids*: 1 or 2 */,
  kPidsGroupId = 222, kMemcgGroupId /* inode of the process's own group */,
  // whose kHugeGroup* are, as kPidsGroup; read with a snapshot
  kHugeGroup = 340, kHugeGroupsSeen, kHugeGroupVersion, kHugeGroupId,
  // kStart of a new image: the name of its process, 15 bytes and 0, as in ProcessSlot, which a
  // later image overwrites
  kCommFirst = 344, kCommSecond,
  // errno of a clone3 without arguments, and of a clone with arguments that the kernel rejects first
  // of all, tried under a filter after libc's own was refused: EINVAL is the kernel's answer (ENOSYS:
  // before Linux 5.3), any other the filter's
  kClone3Answer = 360,
  kCloneAnswer = 388,
  kSeccompFilters = 389 /* how many are in force; since Linux 5.9 */,
  kRangeListed = 346 /* what the refused call's range met is in the list, however long that is */,
  // kStart of who was attached to with --malloc: addresses of malloc's family in the modules that
  // reach the shim since, that were bound to another function and were left alone, that could not be
  // written
  kBoundSlots = 347, kBoundElsewhere, kBoundUnwritable,
  // kStart: how long before it the limits and the use of its control groups were read, by another
  // process in the same groups (GroupMemo). Absent: by itself, as the counters always are
  kGroupFiguresAgeNs = 350,
  kStartBrk = 366 /* kStart of a new image: /proc/self/stat field 47, where its heap begins */,
  kLogDevice = 351, kLogInode /* FileHeader::host: the file that the log was made in */,
  kAddressBits = 400 /* FileHeader::host, aarch64: a process has the addresses below 2^n; absent: not looked at */,
  kPlaceFiles = 420 /* PlaceFile bits: signs of where it runs; absent: not looked at */,
  // kStart only: address of the function that serves the op behind the shim, key = kProviderBase +
  // op
  kProviderBase = 1000,
  // kStart only: address of the function that the program's calls reach instead of the shim's,
  // because its object stands before the shim in the loader's order; key = kFrontBase + op. Absent:
  // they reach the shim
  kFrontBase = 1200,
};
// clang-format on
struct Fact {
  uint32_t key;  // FactKey
  uint32_t reserved;
  uint64_t value;
};
static_assert(sizeof(Fact) == 16);
inline constexpr uint64_t kInfinite = UINT64_MAX - 1;
inline constexpr uint64_t kNotOpen = uint64_t{1} << 32;  // kFileOpenFlags of a number that is free

// What labels processes, as /proc/self/attr/current and /sys/fs/selinux show it.
enum class SecurityModule : uint64_t {
  kNone = 0,
  kSelinuxEnforcing = 1,
  kSelinuxPermissive = 2,
  kSelinux = 3,  // whether it enforces is not known
  kAppArmorUnconfined = 4,
  kAppArmorConfined = 5,
  kOther = 6,
};

// What made a log smaller than asked for: see shim/record/log_size.h
enum class LogBound : uint64_t {
  kNone = 0,
  kMemoryGroup = 1,  // a log in memory (tmpfs) is charged to the creator's group, or one above it
  kMemory = 2,       // MemAvailable, likewise
  kFreeSpace = 3,    // of the filesystem
  kQuota = 4,        // the filesystem refused more: a quota, or space that is not ours
  kRlimitAs = 5,
  kRlimitFsize = 6,
};

// Bits of kForeignFiles, by the files that figures are read from.
enum HostFile : uint32_t {
  kFileMeminfo = 1 << 0,
  kFileLoadavg = 1 << 1,
  kFileVmstat = 1 << 2,
  kFileOvercommitMemory = 1 << 3,
  kFileOvercommitRatio = 1 << 4,
  kFileOvercommitKbytes = 1 << 5,
  kFileUserReserve = 1 << 6,
  kFileAdminReserve = 1 << 7,
  kFileMaxMapCount = 1 << 8,
  kFileMmapMinAddr = 1 << 9,
  kFileThreadsMax = 1 << 10,
  kFilePidMax = 1 << 11,
  kFileStat = 1 << 12,
};

// Bits of kPlaceFiles: files that those who make containers leave in them.
enum PlaceFile : uint32_t {
  kPlaceDocker = 1 << 0,      // /.dockerenv
  kPlacePodman = 1 << 1,      // /run/.containerenv
  kPlaceKubernetes = 1 << 2,  // /var/run/secrets/kubernetes.io
};

// What became of the replacement of system calls inside libc (OVCSHIM_LIBC_INTERNALS)
enum class InternalsState : uint64_t {
  kOff = 0,
  kOn = 1,
  kUnknownLibc = 2,
  kRefused = 3,
  kThreaded = 4,
  kTooFar = 5,
  kPartly = 6
};

// The same with what stood in the way of changing libc's code, as it stands in ProcessSlot and in
// FactKey::kInternals: errnos of the write to /proc/self/mem and of mprotect (0: none, or not
// tried), and whether a seccomp filter kept the shim from trying mprotect.
struct InternalsWord {
  InternalsState state = InternalsState::kOff;
  uint16_t mem_error = 0, mprotect_error = 0;
  bool filtered = false;
};
constexpr uint64_t internals_word(const InternalsWord& w) {
  return static_cast<uint64_t>(w.state) | uint64_t{w.mem_error} << 16 |
         uint64_t{w.mprotect_error} << 32 | uint64_t{w.filtered} << 48;
}
constexpr InternalsWord internals_of(uint64_t word) {
  return {static_cast<InternalsState>(word & 0xffff), static_cast<uint16_t>(word >> 16),
          static_cast<uint16_t>(word >> 32), (word >> 48 & 1) != 0};
}

// One line of /proc/self/smaps.
struct MappingEntry {
  uint64_t start, end;
  uint32_t flags;  // MappingFlag
  uint32_t rss_kb;
  uint32_t anonymous_kb;
  uint32_t swap_kb;
};
static_assert(sizeof(MappingEntry) == 32);
enum MappingFlag : uint32_t {
  kMapRead = 1 << 0,
  kMapWrite = 1 << 1,
  kMapExec = 1 << 2,
  kMapShared = 1 << 3,
  kMapAc = 1 << 4,
  kMapNr = 1 << 5,
  kMapDc = 1 << 6,
  kMapWf = 1 << 7,
  kMapHt = 1 << 8,
  kMapGd = 1 << 9,
  kMapLo = 1 << 10,
  kMapSl = 1 << 11,
  kMapDd = 1 << 12,
  kMapDe = 1 << 13 /* may not grow */,
  kMapPf = 1 << 14 /* pages without a struct page */,
  kMapFile = 1 << 16,
  kMapHeap = 1 << 17,
  kMapStack = 1 << 18,
  kMapSpecial = 1 << 19 /* [vdso] and friends */,
  kMapNamedAnon = 1 << 20 /* [anon:...] */,
  kMapOwn = 1 << 21 /* the shim's */,
  kMapMayWrite = 1 << 22 /* mw */,
  kMapMayExec = 1 << 23 /* me */,
  kMapMayKnown = 1 << 24 /* these two are recorded */,
  kMapFlagsKnown = 1u << 31 /* VmFlags was there */,
};

// Who ran. Written by its own process (and by the one that retires it).
enum class SlotUse : uint32_t {
  kFree = 0,
  kClaimed = 1,
  kLive = 2,
  kEnded = 3 /* said goodbye */,
  kRetiring = 4
};
struct ProcessSlot {
  uint32_t use;     // SlotUse
  uint32_t serial;  // grows at each reuse of the slot
  uint32_t pid, parent_pid;
  uint64_t
      start_ticks;      // /proc/self/stat field 22; (pid, start_ticks) names a process of this boot
  uint64_t start_tick;  // FileHeader clock: when it was first seen
  uint64_t end_tick;    // 0 until kEnd or an exit was recorded
  uint32_t parent, parent_serial;  // ProcessSlot of the parent, kNoIndex if not in this log
  uint64_t
      fork_position;  // event-lane position of the fork intent that made it, kUnknown if not known
  uint32_t image;     // current image number
  uint32_t uid;
  uint64_t pidns;            // inode of its pid namespace
  uint64_t internals;        // InternalsState
  uint64_t module_position;  // event-lane position of the first kModule record of the newest list
  uint32_t exit_known;       // 1: exit_status was given to exit/_exit
  int32_t exit_status;
  uint64_t images;         // exec count + 1
  uint64_t own_commit_kb;  // commit charge the shim added
  char comm[16];
  char exe[256];          // cut, terminated
  uint32_t first_stripe;  // index of its first thread's Stripe, 0 if none: a later image of the
                          // process goes on with it
  unsigned char reserved[124];
};
static_assert(sizeof(ProcessSlot) == 512);

// Exact counters of one process, striped by thread.
inline constexpr uint32_t kHistogramBuckets =
    48;  // bucket b counts requests with bit_width(size) == b, the last also larger
struct Stripe {
  uint64_t
      owner;  // tid of the thread that uses it now; 0 = free for another thread of the same process
  uint32_t process;  // ProcessSlot index
  uint32_t process_serial;
  uint64_t requested_bytes;  // sum of malloc-family request sizes (nmemb * size), failed ones too
  uint64_t unused;           // 0
  uint64_t fold_id;          // unique; see COUNTERS
  uint64_t calls_not_kept;  // malloc-family calls counted here but not in a lane (OVCSHIM_MIN_SIZE,
                            // lane off, no chunk)
  uint64_t reserved[2];
  uint64_t sizes[kHistogramBuckets];
  uint64_t calls[static_cast<size_t>(Op::kCallOps)];
  uint64_t failed[static_cast<size_t>(Op::kCallOps)];
};
static_assert(sizeof(Stripe) == 1984);
inline constexpr uint64_t kStripeBytes = 2048;  // Stripe padded
inline constexpr uint32_t kSharedStripe =
    0;  // used with atomic adds when no stripe could be had; belongs to no process

// Chunk owner word: status 2 bits | namespace index 4 | tid 22 | reserved 4 | generation 32.
enum class ChunkStatus : uint64_t { kFree = 0, kOwned = 1, kClosed = 2 };
constexpr uint64_t chunk_word(ChunkStatus status, uint64_t ns, uint64_t tid, uint64_t generation) {
  return static_cast<uint64_t>(status) | ns << 2 | tid << 6 | generation << 32;
}
constexpr ChunkStatus chunk_status(uint64_t word) { return static_cast<ChunkStatus>(word & 3); }
constexpr uint32_t chunk_ns(uint64_t word) { return static_cast<uint32_t>(word >> 2 & 15); }
constexpr uint32_t chunk_tid(uint64_t word) { return static_cast<uint32_t>(word >> 6 & 0x3fffff); }
constexpr uint32_t chunk_generation(uint64_t word) { return static_cast<uint32_t>(word >> 32); }
inline constexpr uint32_t kNoNamespace =
    15;  // namespace table full: such chunks are never taken from their owner

struct ChunkHeader {
  uint64_t owner;  // chunk_word
  uint64_t claim;  // position in the ring: FileHeader::chunk_cursor when claimed
  uint32_t pid, tid;
  uint32_t process, process_serial;
  uint64_t
      first_seq;  // sequence number of the first record in this thread (time marks do not count)
  uint64_t opened_tick;
  uint32_t image;
  uint32_t ready;     // 1 once the fields above are valid and the records are cleared
  uint64_t alive_at;  // position of a claim that found its owner alive, + 1; 0: nobody has asked
};
static_assert(sizeof(ChunkHeader) == kChunkHeaderBytes);

// word: op 4 bits | address >> kAddressShift, 44 bits | log2(alignment) 6 bits | failed 1 |
// bit 47 of the address 1 (call_address.h) | reserved 8
// aux:  caller >> caller_shift (FileHeader), 47 bits | size 17 bits
struct CallRecord {
  uint64_t word;
  uint64_t aux;
};
inline constexpr unsigned kAddressShift = 3;
constexpr uint64_t call_word(Op op, uint64_t address, uint64_t align_log2 = 0) {
  return static_cast<uint64_t>(op) | (address >> kAddressShift & 0xfffffffffff) << 4 |
         align_log2 << 48;
}
constexpr uint64_t call_aux(uint64_t caller_shifted, uint64_t size) {
  return caller_shifted << 17 | size;
}
constexpr Op call_op(uint64_t word) { return static_cast<Op>(word & 15); }
constexpr uint64_t call_address(uint64_t word) {
  return (word >> 4 & 0xfffffffffff) << kAddressShift;
}
constexpr uint64_t call_align_log2(uint64_t word) { return word >> 48 & 63; }
constexpr uint64_t call_caller(uint64_t aux, unsigned caller_shift) {
  return aux >> 17 << caller_shift;
}
constexpr uint64_t call_size(uint64_t aux) { return aux & 0x1ffff; }

// Totals of processes whose slots were reused.
struct RetiredTotals {
  uint64_t last_folded;  // Stripe::fold_id
  uint64_t processes;
  uint64_t requested_bytes;
  uint64_t unused;
  uint64_t calls_not_kept;
  uint64_t reserved[3];
  uint64_t sizes[kHistogramBuckets];
  uint64_t calls[static_cast<size_t>(Op::kCallOps)];
  uint64_t failed[static_cast<size_t>(Op::kCallOps)];
};
static_assert(sizeof(RetiredTotals) == 1984);

enum class Clock : uint32_t { kTsc = 1, kMonotonicNs = 2, kCntvct = 3 };
enum class Machine : uint32_t { kX86_64 = 62, kAarch64 = 183 };  // ELF e_machine

struct ClockPair {  // one moment on three clocks
  uint64_t tick, monotonic_ns, posix_ns;
};

struct FileHeader {  // who writes: the creator unless noted
  char magic[16];
  uint32_t endian;   // kEndianMark
  uint32_t version;  // kFormatVersion
  uint32_t machine;  // Machine
  uint32_t ready;    // 1 once the creator has filled everything (release)
  uint64_t incompatible_flags, compatible_flags;
  uint64_t file_bytes;
  struct {
    uint64_t offset, bytes;
  } processes, stripes, events, calls;  // calls.bytes may be 0: lane off
  // host facts at creation
  uint64_t page_size;  // bytes
  uint64_t cpus_online;
  char kernel_release[96];  // uname -r, terminated
  char kernel_version[96];  // uname -v
  char boot_id[40];
  Fact host[48];  // meminfo, overcommit settings, limits; ends at key 0
  // clock
  uint32_t clock;         // Clock
  uint32_t caller_shift;  // CallRecord
  ClockPair created;
  ClockPair
      newest;  // any process, now and then; may be torn: the reader checks it for plausibility
  // configuration in force
  uint64_t min_size;     // OVCSHIM_MIN_SIZE
  uint32_t stack_depth;  // OVCSHIM_STACK_DEPTH
  uint32_t follow;       // OVCSHIM_FOLLOW: 0 none, 1 fork, 2 all
  char shim_version[32];
  // cursors, atomic adds by every process. Each on its own cache line.
  alignas(64) uint64_t event_cursor;  // slots claimed so far
  alignas(64) uint64_t chunk_cursor;  // chunks claimed so far
  // cold counters, atomic adds
  alignas(64) uint64_t events_lost_busy;  // records given up because every try met a busy slot
  uint64_t events_lost_lapped;            // records given up because the ring passed their writer
  uint64_t calls_overwritten;             // call records erased by the wrap
  uint64_t calls_lost_nested;    // calls from a signal handler inside the recorder's slow path
  uint64_t snapshots_skipped;    // failures without mapping list, by rate limit
  uint64_t processes_unslotted;  // processes that got no ProcessSlot
  uint64_t threads_unslotted;    // threads that used kSharedStripe
  uint64_t threads_unrecorded;   // threads without thread state: call lane not written
  uint64_t slots_retired;
  uint64_t next_image;  // image numbers given out
  uint64_t next_fold_id;
  uint64_t next_stripe;   // stripes given out for the first time, kSharedStripe not counted
  uint64_t next_process;  // process slots given out for the first time
  alignas(64) uint64_t
      namespaces[kNoNamespace];      // pid namespace inodes by index, compare-and-swapped from 0
  alignas(64) uint64_t retire_lock;  // tid of the process that retires slots
  uint64_t retired_version;          // retired[version & 1] is in force
  // since version 2
  struct {
    uint64_t offset, bytes;
  } vitals;                           // the vitals ring; `events` is the other
  alignas(64) uint64_t vital_cursor;  // slots claimed so far
  // OVCSHIM_REHEARSE and OVCSHIM_INJECT as the log's creator had them, cut, terminated; empty: not
  // set
  char rehearse[128];
  char inject[256];
  uint64_t all_alive_until;  // tick: all process slots were those of living processes; not looked
                             // at again before
  struct {
    uint64_t offset, bytes;
  } growth;  // growth_format.h; bytes 0: there is none
  struct {
    uint64_t offset, bytes;
  } readings;  // readings_format.h; bytes 0: there is none
  struct {
    uint64_t offset, bytes;
  } memory;                            // memory_format.h; bytes 0: there is none
  alignas(64) uint64_t memory_cursor;  // units claimed so far
};

// The control groups of the process that read them last, for those that start in the same ones soon
// after (shim/proc/group_memo.h): a copy of what its kStart says, for the shim alone. In the
// header's page, behind it.
struct GroupMemo {
  uint64_t sequence;    // grows with each writing; odd: being written, or its writer died
  uint64_t tick;        // of the reading
  uint64_t host_kills;  // kVmstatOomKill, read before the groups
  uint64_t cgroup_ns;   // inode
  struct Place {
    char group[200];  // as /proc/thread-self/cgroup has it, terminated
    char path[232];   // of its folder, terminated; empty: the root of the hierarchy
    uint64_t inode, device;
    uint32_t version, reserved;
  } memory, pids;
  Fact facts[24];  // of both; ends at key 0
};
inline constexpr uint64_t kGroupMemoOffset = 2560;
static_assert(sizeof(FileHeader) <= kGroupMemoOffset);
static_assert(kGroupMemoOffset + sizeof(GroupMemo) <= kPageBytes);
// RetiredTotals retired[2] follow the FileHeader's page, one page for both.
inline constexpr uint64_t kRetiredOffset = kPageBytes;
static_assert(2 * sizeof(RetiredTotals) <= kPageBytes);
// Then one page of pids, uint32_t[kProcessSlots]: the pid in each ProcessSlot or 0, so that a new
// image finds its tree fast.
inline constexpr uint64_t kPidIndexOffset = 2 * kPageBytes;
static_assert(kProcessSlots * sizeof(uint32_t) == kPageBytes);
inline constexpr uint64_t kHeaderBytes = 3 * kPageBytes;

}  // namespace ovcshim
