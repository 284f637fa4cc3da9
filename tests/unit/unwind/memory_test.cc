// SPDX-License-Identifier: MIT
//
// Reading memory without faulting: what is known to stay is read without a system call, what may go
// is not, and neither faults when it is gone. What is kept cannot be taken back, so each case that
// keeps something is a process of its own.
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>

#include "shim/sys/sys.h"
#include "shim/unwind/known_stack.h"
#include "shim/unwind/memory.h"
#include "tests/unit/catch.h"

using namespace ovcshim;

namespace {

constexpr size_t kPage = 4096;

uint64_t address(const void* at) { return reinterpret_cast<uint64_t>(at); }

// Below the stack, where the kernel leaves 128 MiB free at least (mm/util.c mmap_base()): above all
// objects that an earlier test of this process may have kept, since they are kept in their order.
char* pages(size_t count) {
  static uint64_t next = address(__builtin_frame_address(0)) - (96 << 20);
  void* at = mmap(reinterpret_cast<void*>(next & ~uint64_t{kPage - 1}), count * kPage,
                  PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  REQUIRE(at != MAP_FAILED);
  next += (count + 1) * kPage;
  return static_cast<char*>(at);
}

template <class Body>
int in_child(Body body) {
  const pid_t child = fork();
  if (child == 0) syscall(SYS_exit, body() ? 0 : 1);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return status;
}

// From now on a filter gives this errno in the kernel's place.
bool answer(long call, int error) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program{sizeof filter / sizeof *filter, filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

bool reads(const char* at, char wanted) {
  char got = 0;
  return copy_memory(&got, address(at), 1) && got == wanted;
}

}  // namespace

TEST_CASE("memory: what is kept and proven once is read without a system call") {
  char* kept = pages(2);
  kept[0] = 'a';
  kept[kPage - 1] = 'b';
  kept[kPage] = 'c';
  CHECK(in_child([&] {
          keep_object(address(kept), address(kept) + 2 * kPage, true);
          if (!reads(kept, 'a') || !reads(kept + kPage, 'c')) return false;
          prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);  // read, write, exit, or die
          char both[2];
          return reads(kept + kPage - 1, 'b') && copy_memory(both, address(kept) + kPage - 1, 2) &&
                 both[0] == 'b' && both[1] == 'c';
        }) == 0);
}

TEST_CASE("memory: what is not kept is copied by the kernel, or not at all") {
  char* page = pages(2);
  page[0] = 'x';
  CHECK(reads(page, 'x'));
  REQUIRE(munmap(page + kPage, kPage) == 0);
  CHECK_FALSE(reads(page + kPage, 0));
  char two[2];
  CHECK_FALSE(copy_memory(two, address(page) + kPage - 1, 2));
  REQUIRE(munmap(page, kPage) == 0);
  CHECK_FALSE(reads(page, 'x'));
  for (uint64_t wild : {uint64_t{0}, uint64_t{8}, UINT64_MAX, UINT64_MAX - 7, uint64_t{1} << 63})
    CHECK_FALSE(copy_memory(two, wild, 2));
  CHECK_FALSE(copy_memory(two, address(two), 0));
}

TEST_CASE("memory: a kept object that the program unmaps is not read directly any more") {
  char* kept = pages(2);
  CHECK(in_child([&] {
          keep_object(address(kept), address(kept) + 2 * kPage, true);
          if (!reads(kept, 0) || !reads(kept + kPage, 0)) return false;
          range_goes(address(kept) + kPage, kPage);
          munmap(kept + kPage, kPage);
          return !reads(kept + kPage, 0) && reads(kept, 0);
        }) == 0);
}

TEST_CASE("memory: a page that its file has lost is not read when its proof has lapsed") {
  char name[] = "/tmp/ovc-memory.XXXXXX";
  const int file = mkstemp(name);
  REQUIRE(file >= 0);
  unlink(name);
  REQUIRE(ftruncate(file, kPage) == 0);
  auto* kept = static_cast<char*>(mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE, file, 0));
  REQUIRE(kept != MAP_FAILED);
  CHECK(in_child([&] {
          keep_object(address(kept), address(kept) + kPage, true);
          proof_era_is(1);
          if (!reads(kept, 0) || ftruncate(file, 0) != 0) return false;
          proof_era_is(3);
          return !reads(kept, 0);
        }) == 0);
  close(file);
}

TEST_CASE("memory: a filter that refuses process_vm_readv leaves another way to copy") {
  char* page = pages(2);
  page[5] = 'x';
  REQUIRE(munmap(page + kPage, kPage) == 0);
  CHECK(in_child([&] {
          return answer(SYS_process_vm_readv, EPERM) && reads(page + 5, 'x') &&
                 !reads(page + kPage, 0) && reads(page + 5, 'x');
        }) == 0);
}

TEST_CASE(
    "memory: the stack known from its arguments up is read from any frame below, and until it is "
    "unmapped") {
  char* stack = pages(4);
  CHECK(in_child([&] {
          know_main_stack(address(stack) + 2 * kPage + 8, address(stack) + 3 * kPage + 8);
          const uint64_t top = address(stack) + 4 * kPage;
          if (known_stack_top(address(stack) + 2 * kPage) != top) return false;
          if (known_stack_top(address(stack) + kPage) != 0 || known_stack_top(top) != 0)
            return false;
          if (deepen_known_stack(address(stack), address(stack) + kPage) != address(stack) + kPage)
            return false;
          if (deepen_known_stack(address(stack) + kPage, address(stack) + 2 * kPage) != top)
            return false;
          if (known_stack_top(address(stack) + kPage) != top) return false;
          range_goes(address(stack), kPage);
          if (known_stack_top(address(stack) + kPage) != top) return false;
          range_goes(address(stack) + 2 * kPage, kPage);
          return known_stack_top(address(stack) + 3 * kPage) == 0;
        }) == 0);
}
