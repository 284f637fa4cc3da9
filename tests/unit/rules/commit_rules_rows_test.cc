// SPDX-License-Identifier: MIT
//
// Every row of commit_rules.h that holds for this kernel and its mode, against /proc/self/smaps:
// the cases are generated from the tables' own columns, so a row that nothing reaches is a failure.
// The sum of what is `ac` before and after is exact, kB for kB. Run under the other modes by
// tests/e2e/rules_in_each_mode.sh.
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "tests/unit/catch.h"
#include "tests/unit/smaps_sum.h"
#include "tools/rules/commit_rules.h"

using namespace ovc;
using namespace ovc::test;

namespace {

constexpr size_t kMib = 1 << 20, kLen = 8 * kMib;
constexpr int kRw = PROT_READ | PROT_WRITE, kPrivateAnon = MAP_PRIVATE | MAP_ANONYMOUS;
constexpr int kMapDroppable = 0x08;

HostRules this_host() {
  HostRules rules;
  utsname name{};
  uname(&name);
  rules.kernel = parse_kernel_release(name.release);
  rules.mode = overcommit_mode();
  return rules;
}

class File {
 public:
  explicit File(unsigned flags = 0) : fd_(memfd_create("rules", flags)) {
    REQUIRE((fd_ < 0 || ftruncate(fd_, 64 * kMib) == 0));
  }
  ~File() { close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

// Room of its own, so that nothing merges with what is made in it.
class Room {
 public:
  static constexpr size_t kBytes = 64 * kMib;
  Room()
      : start_(static_cast<char*>(
            mmap(nullptr, kBytes, PROT_NONE, kPrivateAnon | MAP_NORESERVE, -1, 0))) {
    REQUIRE(start_ != MAP_FAILED);
  }
  ~Room() { munmap(start_, kBytes); }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  char* at(size_t offset) const { return start_ + offset; }

 private:
  char* start_;
};

struct Made {
  char* at = nullptr;
  MappingState state;
};

// ---- new mappings

int flags_of(const MappingKind& kind) {
  return (kind.droppable ? kMapDroppable
          : kind.shared  ? MAP_SHARED
                         : MAP_PRIVATE) |
         (kind.file ? 0 : MAP_ANONYMOUS) | (kind.noreserve ? MAP_NORESERVE : 0) |
         (kind.hugetlb && !kind.file ? MAP_HUGETLB : 0);
}

// nullopt: this kernel or host has no such mapping (no huge pages reserved, no MAP_DROPPABLE, ...).
std::optional<uint64_t> accounted_by_mmap(const MappingKind& kind, const File& file) {
  const File huge(MFD_HUGETLB);
  const uint64_t before = accounted_kb();
  const int fd = !kind.file ? -1 : kind.hugetlb ? huge.fd() : file.fd();
  void* p = mmap(nullptr, kLen, kind.writable ? kRw : PROT_READ, flags_of(kind), fd, 0);
  if (p == MAP_FAILED) return std::nullopt;
  const uint64_t after = accounted_kb();
  munmap(p, kLen);
  return after - before;
}

// ---- changes of mappings

struct Maker {
  std::string name;
  std::function<char*(const Room&, const File&)> make;
};

char* map_at(const Room& room, int prot, int flags, int fd = -1) {
  void* p = mmap(room.at(8 * kMib), kLen, prot, flags | MAP_FIXED, fd, 0);
  REQUIRE(p != MAP_FAILED);
  return static_cast<char*>(p);
}

char* written(char* p) {
  for (size_t i = 0; i < kLen; i += 4096) p[i] = 1;
  return p;
}

const Maker kMakers[] = {
    {"anonymous, written",
     [](const Room& r, const File&) { return written(map_at(r, kRw, kPrivateAnon)); }},
    {"anonymous, untouched",
     [](const Room& r, const File&) { return map_at(r, kRw, kPrivateAnon); }},
    {"anonymous, read-only",
     [](const Room& r, const File&) { return map_at(r, PROT_READ, kPrivateAnon); }},
    {"anonymous, noreserve",
     [](const Room& r, const File&) { return map_at(r, kRw, kPrivateAnon | MAP_NORESERVE); }},
    {"anonymous, noreserve, read-only",
     [](const Room& r, const File&) { return map_at(r, PROT_READ, kPrivateAnon | MAP_NORESERVE); }},
    {"anonymous, written, now read-only",
     [](const Room& r, const File&) {
       char* p = written(map_at(r, kRw, kPrivateAnon));
       REQUIRE(mprotect(p, kLen, PROT_READ) == 0);
       return p;
     }},
    {"anonymous, not to be copied",
     [](const Room& r, const File&) {
       char* p = map_at(r, kRw, kPrivateAnon);
       REQUIRE(madvise(p, kLen, MADV_DONTFORK) == 0);
       return p;
     }},
    {"private file, writable",
     [](const Room& r, const File& f) { return map_at(r, kRw, MAP_PRIVATE, f.fd()); }},
    {"private file, read-only",
     [](const Room& r, const File& f) { return map_at(r, PROT_READ, MAP_PRIVATE, f.fd()); }},
    {"shared file, writable",
     [](const Room& r, const File& f) { return map_at(r, kRw, MAP_SHARED, f.fd()); }},
    {"shared anonymous",
     [](const Room& r, const File&) { return map_at(r, kRw, MAP_SHARED | MAP_ANONYMOUS); }},
};

// Does it, and says how many kB the row speaks of; nullopt: there is no such change of this
// mapping.
struct Action {
  Change change;
  std::string name;
  std::function<std::optional<uint64_t>(char* at, const Room&)> act;
};

std::optional<uint64_t> done(bool ok, size_t bytes) {
  return ok ? std::optional<uint64_t>(bytes / 1024) : std::nullopt;
}
char* away(const Room& room) { return room.at(32 * kMib); }

const Action kActions[] = {
    {Change::kGainWrite, "mprotect writable",
     [](char* p, const Room&) { return done(mprotect(p, kLen, kRw) == 0, kLen); }},
    {Change::kLoseWrite, "mprotect read-only",
     [](char* p, const Room&) { return done(mprotect(p, kLen, PROT_READ) == 0, kLen); }},
    {Change::kUnmap, "munmap of half",
     [](char* p, const Room&) { return done(munmap(p, kLen / 2) == 0, kLen / 2); }},
    {Change::kReplaceFixed, "MAP_FIXED over it",
     [](char* p, const Room&) {
       return done(mmap(p, kLen, kRw, kPrivateAnon | MAP_FIXED, -1, 0) == p, kLen);
     }},
    {Change::kGrow, "mremap to twice",
     [](char* p, const Room& r) {
       return done(mremap(p, kLen, 2 * kLen, MREMAP_MAYMOVE | MREMAP_FIXED, away(r)) == away(r),
                   kLen);
     }},
    {Change::kShrink, "mremap to half",
     [](char* p, const Room&) { return done(mremap(p, kLen, kLen / 2, 0) == p, kLen / 2); }},
    {Change::kMove, "mremap elsewhere",
     [](char* p, const Room& r) {
       return done(mremap(p, kLen, kLen, MREMAP_MAYMOVE | MREMAP_FIXED, away(r)) == away(r), kLen);
     }},
    {Change::kMoveKeepOld, "mremap with MREMAP_DONTUNMAP",
     [](char* p, const Room& r) {
       return done(mremap(p, kLen, kLen, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
                          away(r)) == away(r),
                   kLen);
     }},
    {Change::kMadvise, "madvise DONTNEED",
     [](char* p, const Room&) { return done(madvise(p, kLen, MADV_DONTNEED) == 0, kLen); }},
};

MappingState state_of(const Maker& maker, char* at) {
  const std::string flags = vm_flags_at(at);
  const auto has = [&](const char* flag) { return flags.find(flag) != std::string::npos; };
  const bool touched = maker.name.find("written") != std::string::npos;
  return {.accounted = has(" ac"),
          .noreserve = has(" nr"),
          .writable = has(" wr"),
          .shared = has(" sh"),
          .hugetlb = has(" ht"),
          .dont_copy = has(" dc"),
          .file = maker.name.find("file") != std::string::npos,
          .touched = touched};
}

// What smaps shows of it afterwards. A row for MAP_FIXED says what the kernel asks for: before 6.12
// the whole, once the old mapping is gone and given back; so what is left is the same.
int64_t expected_change_kb(const ChangeRow& row, const MappingState& state, uint64_t kb) {
  const auto amount = static_cast<int64_t>(kb);
  if (row.change == Change::kReplaceFixed) return state.accounted ? 0 : amount;
  switch (row.effect) {
    case Effect::kCharge: return amount;
    case Effect::kRelease: return -amount;
    case Effect::kChargeLessOld:
    case Effect::kNothing:
    case Effect::kCheckOnly: break;
  }
  return 0;
}

// kB of this mapping that a child is accounted for: made by `make_child`, asked inside the child.
int64_t accounted_in_child(char* at, pid_t (*make_child)()) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t pid = make_child();
  if (pid == 0) {
    const bool there = vm_flags_at(at).find(" ac") != std::string::npos;
    _exit(write(ends[1], there ? "y" : "n", 1) == 1 ? 0 : 1);
  }
  char answer = '?';
  REQUIRE(read(ends[0], &answer, 1) == 1);
  close(ends[0]);
  close(ends[1]);
  waitpid(pid, nullptr, 0);
  return answer == 'y' ? static_cast<int64_t>(kLen / 1024) : 0;
}

}  // namespace

TEST_CASE("every kind of new mapping is accounted as its row says", "[kernel]") {
  const HostRules rules = this_host();
  const File file;
  std::set<const MappingRow*> met;
  for (unsigned bits = 0; bits < 64; ++bits) {
    const MappingKind kind{.shared = (bits & 1) != 0,
                           .writable = (bits & 2) != 0,
                           .file = (bits & 4) != 0,
                           .noreserve = (bits & 8) != 0,
                           .hugetlb = (bits & 16) != 0,
                           .droppable = (bits & 32) != 0};
    if (kind.droppable && (kind.shared || kind.file || kind.hugetlb))
      continue;  // MAP_DROPPABLE is a type of its own
    if (kind.hugetlb && kind.file)
      continue;  // of a memfd without huge pages the flag is not looked at
    const MappingRow* row = mapping_row(kind, rules);
    REQUIRE(row);
    const auto kb = accounted_by_mmap(kind, file);
    if (!kb) continue;
    met.insert(row);
    INFO(row->what << ": " << fmt::format("{:06b}", bits));
    const bool in_smaps = row->cost == Cost::kLength &&
                          !kind.shared;  // shared memory is charged as an object, not as a mapping
    CHECK(*kb == (in_smaps ? kLen / 1024 : 0));
  }
  for (const MappingRow& row : mapping_rows()) {
    const bool here = (row.modes >> *rules.mode & 1) && holds(row.since, row.until, rules) == true;
    const bool needs_host = row.hugetlb == Tri::kYes || row.droppable == Tri::kYes;
    if (here && !needs_host && !met.contains(&row)) FAIL_CHECK("no case reaches: " << row.what);
  }
}

TEST_CASE("every change of a mapping charges and gives back as its row says", "[kernel]") {
  const HostRules rules = this_host();
  const File file;
  std::set<const ChangeRow*> met;
  for (const Maker& maker : kMakers)
    for (const Action& action : kActions) {
      const Room room;
      char* at = maker.make(room, file);
      const MappingState state = state_of(maker, at);
      if (action.change == Change::kGainWrite && state.writable) continue;
      if (action.change == Change::kLoseWrite && !state.writable) continue;
      const ChangeRow* row = change_row(action.change, state, rules);
      const auto before = static_cast<int64_t>(accounted_kb());
      const auto kb = action.act(at, room);
      if (!kb) continue;
      REQUIRE(row);  // what this kernel does not know it refuses
      met.insert(row);
      INFO(maker.name << ", " << action.name << ": " << row->what);
      CHECK(static_cast<int64_t>(accounted_kb()) - before == expected_change_kb(*row, state, *kb));
    }
  constexpr Change kElsewhere[] = {Change::kBrkGrow, Change::kBrkShrink, Change::kStackGrow,
                                   Change::kFork, Change::kForkSharedMemory};
  for (const ChangeRow& row : change_rows()) {
    const bool elsewhere =
        std::find(std::begin(kElsewhere), std::end(kElsewhere), row.change) != std::end(kElsewhere);
    const bool needs_host = row.hugetlb == Tri::kYes;
    const bool here = holds(row.since, row.until, rules) == true;
    if (here && !elsewhere && !needs_host && !met.contains(&row))
      FAIL_CHECK("no case reaches: " << row.what);
  }
}

TEST_CASE("a child is accounted for each mapping as its row says", "[kernel]") {
  const HostRules rules = this_host();
  const File file;
  for (const Maker& maker : kMakers) {
    const Room room;
    char* at = maker.make(room, file);
    const ChangeRow* row = change_row(Change::kFork, state_of(maker, at), rules);
    REQUIRE(row);
    INFO(maker.name << ": " << row->what);
    CHECK(accounted_in_child(at, fork) == expected_change_kb(*row, {}, kLen / 1024));
  }
}

TEST_CASE("the break and the stack are accounted as they grow", "[kernel]") {
  const HostRules rules = this_host();
  const auto before = static_cast<int64_t>(accounted_kb());
  REQUIRE(sbrk(kLen) != reinterpret_cast<void*>(-1));
  const ChangeRow* grow = change_row(Change::kBrkGrow, {}, rules);
  CHECK(static_cast<int64_t>(accounted_kb()) - before ==
        expected_change_kb(*grow, {}, kLen / 1024));
  REQUIRE(sbrk(-static_cast<intptr_t>(kLen)) != reinterpret_cast<void*>(-1));
  CHECK(static_cast<int64_t>(accounted_kb()) == before);

  // arch/x86/mm/fault.c: until then an access far below the stack pointer was a fault.
  if (rules.kernel < KernelVersion{5, 0}) return;
  const Room room;
  char* low = room.at(16 * kMib);
  void* stack = mmap(low, 4096, kRw, kPrivateAnon | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
  REQUIRE(stack == low);
  REQUIRE(munmap(room.at(8 * kMib), 8 * kMib) == 0);  // room to grow, and the guard gap
  const auto flat = static_cast<int64_t>(accounted_kb());
  for (size_t down = 4096; down <= kMib; down += 4096) *static_cast<volatile char*>(low - down) = 1;
  const ChangeRow* row = change_row(Change::kStackGrow, {.accounted = true}, rules);
  CHECK(static_cast<int64_t>(accounted_kb()) - flat == expected_change_kb(*row, {}, kMib / 1024));
}
