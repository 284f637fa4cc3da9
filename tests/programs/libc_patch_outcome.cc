// SPDX-License-Identifier: MIT
//
// What patch_libc answers and leaves behind, and what the hook then sees of malloc and fork. How to
// run: libc_patch_fixture.h. `state` ends with 100 + InternalsState, after it has used malloc and
// fork.
#if !__has_include("shim/libc/libc_patch.cc")
#include <stdio.h>
int main() {
  return puts("skipped: built without the source directory among the include directories"), 77;
}
#elif !defined(__x86_64__)
#include <stdio.h>
int main() { return puts("skipped: libc is patched on x86-64 only"), 77; }
#else
#include "libc_patch_fixture.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <initializer_list>

namespace {

// The first bytes of all patched functions, to see whether anything changed.
struct Bytes {
  unsigned char of[8][33];
};
Bytes libc_bytes() {
  Bytes bytes{};
  unsigned i = 0;
  for (const char* name : {"mmap", "munmap", "mprotect", "brk", "madvise", "mremap", "_Fork"})
    if (const unsigned char* code = code_of(name)) memcpy(bytes.of[i++], code, 33);
  return bytes;
}
bool same(const Bytes& a, const Bytes& b) { return memcmp(&a, &b, sizeof a) == 0; }

void expect_untouched(InternalsState wanted) {
  Bytes before = libc_bytes();
  InternalsState state = ovcshim::patch_libc(threads_now(), writing);
  if (state == InternalsState::kUnknownLibc) skip("patch_libc does not know this libc");
  EXPECT(state == wanted);
  EXPECT(same(before, libc_bytes()));
}

// ---- outcomes

void check_far() { expect_untouched(InternalsState::kTooFar); }

void check_threaded() {
  pthread_t thread;
  pthread_create(
      &thread, nullptr, [](void*) -> void* { return pause(), nullptr; }, nullptr);
  expect_untouched(InternalsState::kThreaded);
}

void check_no_proc() {
  rlimit none{0, 0};
  setrlimit(RLIMIT_NOFILE, &none);
  expect_untouched(InternalsState::kRefused);
}

void check_no_write() {
  sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_pwrite64, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog filter{4, rules};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
    skip("no seccomp");
  expect_untouched(InternalsState::kRefused);
}

// No mapping may become executable: patching does not ask for that.
void check_write_xor_execute() {
  if (prctl(65 /* PR_SET_MDWE */, 1, 0, 0, 0)) skip("no PR_SET_MDWE");
  patch();
  free(keep(malloc(1 << 20)));
  EXPECT(find_call(__NR_mmap));
}

void check_twice() {
  patch();
  Bytes once = libc_bytes();
  EXPECT(ovcshim::patch_libc(threads_now(), writing) == InternalsState::kUnknownLibc);
  EXPECT(same(once, libc_bytes()));
}

void check_state() {
  InternalsState state = ovcshim::patch_libc(threads_now(), writing);
  void* block = keep(realloc(keep(malloc(1 << 20)), 4 << 20));
  pid_t child = fork();
  if (child == 0) _exit(9);
  int status = 0;
  EXPECT(block && child > 0 && waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 9);
  free(block);
  if (!wrong) _exit(100 + static_cast<int>(state));
}

// libc's text as /proc/self/smaps has it: mappings of the file, and whether its executable one is
// charged.
struct TextState {
  int mappings = 0, executable = 0, charged = 0;
  long dirty_kb = 0;
};
TextState libc_text() {
  static char text[1 << 20];
  TextState state;
  long fd = sys::call(__NR_openat, AT_FDCWD, reinterpret_cast<long>("/proc/self/smaps"), O_RDONLY);
  size_t used = 0;
  for (long n; (n = sys::call(__NR_read, fd, reinterpret_cast<long>(text + used),
                              static_cast<long>(sizeof text - 1 - used))) > 0;)
    used += static_cast<size_t>(n);
  sys::call(__NR_close, fd);
  text[used] = 0;
  bool of_libc = false, in_text = false;
  for (char* line = strtok(text, "\n"); line; line = strtok(nullptr, "\n")) {
    if (strchr("0123456789abcdef", line[0])) {
      of_libc = strstr(line, "libc.so.6");
      in_text = of_libc && strstr(line, " r-xp ");
      state.mappings += of_libc;
      state.executable += in_text;
    }
    if (in_text && !strncmp(line, "VmFlags:", 8)) state.charged += strstr(line, " ac ") != nullptr;
    if (in_text && !strncmp(line, "Private_Dirty:", 14)) state.dirty_kb = atol(line + 14);
  }
  return state;
}

// Somebody who runs `mov $nr,%eax` himself and goes on behind it, as a uprobe does, still makes the
// system call.
void check_behind() {
  patch();
  forget();
  void* page = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  long result = __NR_munmap;
  asm volatile("lea -128(%%rsp), %%rsp\n\tcall *%[behind]\n\tlea 128(%%rsp), %%rsp"
               : "+a"(result)
               : [behind] "r"(code_of("munmap") + 5), "D"(page), "S"(4096L)
               : "rcx", "r11", "memory", "cc");
  EXPECT(result == 0 && !find_call(__NR_munmap));
  EXPECT(madvise(page, 4096, MADV_NORMAL) == -1 && errno == ENOMEM);
}

void check_mappings() {
  TextState before = libc_text();
  patch();
  TextState after = libc_text();
  dprintf(1, "libc: %d mappings, then %d; dirty text %ld kB, then %ld kB\n", before.mappings,
          after.mappings, before.dirty_kb, after.dirty_kb);
  EXPECT(before.executable == 1 && after.executable == 1);
  EXPECT(after.mappings == before.mappings);
  EXPECT(after.charged == 0);
  EXPECT(after.dirty_kb > before.dirty_kb && after.dirty_kb <= 7 * 4);
}

// ---- what is seen

void check_malloc() {
  patch();
  void* block = keep(malloc(1 << 20));
  const Seen* made = find_call(__NR_mmap);
  EXPECT(made && made->args[1] >= 1 << 20 && made->args[2] == (PROT_READ | PROT_WRITE) &&
         made->result == (reinterpret_cast<long>(block) & ~0xfffL));
  block = keep(realloc(block, 8 << 20));
  const Seen* moved = find_call(__NR_mremap);
  EXPECT(moved && moved->args[2] >= 8 << 20 && moved->args[3] == MREMAP_MAYMOVE);
  free(block);
  const Seen* gone = find_call(__NR_munmap);
  EXPECT(gone && moved && gone->args[0] == moved->result && gone->args[1] == moved->args[2]);
  forget();
  for (int i = 0; i < 100; ++i) EXPECT(keep(malloc(10000)));
  const Seen* grown = find_call(__NR_brk);
  EXPECT(grown && grown->result == grown->args[0]);
}

void* use_arena(void*) {
  void* small = keep(malloc(100000));
  void* more = keep(malloc(120000));
  EXPECT(small && more);
  return nullptr;
}

void check_arena() {
  patch();
  pthread_t thread;
  EXPECT(pthread_create(&thread, nullptr, use_arena, nullptr) == 0);
  pthread_join(thread, nullptr);
  const Seen* reserved = nullptr;
  for (const Seen* s = find_call(__NR_mmap); s; s = find_call(__NR_mmap, s))
    if (s->args[2] == PROT_NONE && s->args[1] >= 64 << 20) reserved = s;
  EXPECT(reserved && reserved->result > 0);
  const Seen* grown = reserved ? find_call(__NR_mprotect, reserved) : nullptr;
  EXPECT(grown && grown->args[0] >= reserved->result &&
         grown->args[0] < reserved->result + reserved->args[1]);
}

void check_refused_malloc() {
  patch();
  errno = 0;
  volatile size_t too_much = size_t{1} << 47;
  EXPECT(keep(malloc(too_much)) == nullptr && errno == ENOMEM);
  const Seen* first = find_call(__NR_mmap);
  EXPECT(first && first->result == -ENOMEM && first->args[1] > 1L << 47);
}

void check_fork() {
  patch();
  for (auto* function : {&fork, &_Fork}) {
    forget();
    pid_t child = function();
    const Seen* seen_clone = find_call(__NR_clone);
    bool right = seen_clone && seen_clone->args[0] == 0x1200011 && seen_clone->result == child;
    if (child == 0) _exit(right && getppid() > 0 ? 42 : 43);
    EXPECT(right);
    int status = 0;
    EXPECT(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) == 42);
  }
}

int fork_as_nobody_errno() {
  rlimit one{1, 1};
  if (setuid(65534) || setrlimit(RLIMIT_NPROC, &one)) return -1;
  pid_t child = fork();
  if (child == 0) _exit(0);
  return child < 0 ? errno : 0;
}

void check_refused_fork() {
  patch();
  inject_nr = __NR_clone;
  inject_result = -ENOMEM;
  errno = 0;
  EXPECT(fork() == -1 && errno == ENOMEM);
  inject_nr = -1;
  if (geteuid()) return;
  pid_t child = fork();  // the limit does not bind root
  if (child == 0) _exit(fork_as_nobody_errno());
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT(WEXITSTATUS(status) == EAGAIN);
}

constexpr int kBadCalls = 14;
struct Outcome {
  long result;
  int err;
};
Outcome bad_call(int which, char* page) {
  constexpr size_t kPage = 4096;
  errno = 0;
  long r = 0;
  switch (which) {
    case 0: r = munmap(page + 1, kPage); break;
    case 1: r = munmap(page, 0); break;
    case 2: r = mprotect(page, 3 * kPage, PROT_READ); break;  // a hole
    case 3: r = mprotect(page + 1, kPage, PROT_READ); break;
    case 4:
      r = reinterpret_cast<long>(mmap(nullptr, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
      break;
    case 5:
      r = reinterpret_cast<long>(
          mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 1));
      break;
    case 6: r = reinterpret_cast<long>(mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE, -1, 0)); break;
    case 7: r = reinterpret_cast<long>(mmap(nullptr, kPage, PROT_READ, 0, 0, 0)); break;
    case 8: r = brk(reinterpret_cast<void*>(1L << 47)); break;
    case 9: r = reinterpret_cast<long>(sbrk(1L << 46)); break;
    case 10: r = madvise(page, kPage, 12345); break;
    case 11: r = reinterpret_cast<long>(mremap(page + 2 * kPage, kPage, 2 * kPage, 0)); break;
    case 12: r = reinterpret_cast<long>(mremap(page, kPage, 2 * kPage, 64)); break;
    case 13:
      r = reinterpret_cast<long>(
          mremap(page, kPage, kPage, MREMAP_MAYMOVE | MREMAP_FIXED, page + 1));
      break;
  }
  return {r, errno};
}

void check_errno() {
  char* page = static_cast<char*>(
      mmap(nullptr, 8 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  munmap(page + 4096, 4096);
  munmap(page + 2 * 4096, 4096);
  Outcome before[kBadCalls];
  for (int i = 0; i < kBadCalls; ++i) before[i] = bad_call(i, page);
  patch();
  for (int i = 0; i < kBadCalls; ++i) {
    Outcome after = bad_call(i, page);
    if (after.result != before[i].result || after.err != before[i].err || !after.err)
      dprintf(1, "bad call %d: %ld, errno %d; unpatched %ld, errno %d\n", i, after.result,
              after.err, before[i].result, before[i].err),
          wrong = true;
  }
  void* top = sbrk(0);
  EXPECT(brk(static_cast<char*>(top) + 4096) == 0 && sbrk(0) == static_cast<char*>(top) + 4096);
}

const Check kChecks[] = {
    {"far", check_far},
    {"threaded", check_threaded},
    {"no-proc", check_no_proc},
    {"no-write", check_no_write},
    {"write-xor-execute", check_write_xor_execute},
    {"twice", check_twice},
    {"behind", check_behind},
    {"state", check_state},
    {"mappings", check_mappings},
    {"malloc", check_malloc},
    {"arena", check_arena},
    {"refused-malloc", check_refused_malloc},
    {"fork", check_fork},
    {"refused-fork", check_refused_fork},
    {"errno", check_errno},
};

}  // namespace

int main(int argc, char** argv) { return run_check(kChecks, argc, argv); }
#endif
