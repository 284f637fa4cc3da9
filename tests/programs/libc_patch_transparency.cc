// SPDX-License-Identifier: MIT
//
// Does a program notice the stubs: registers, red zone, unwinding at each instruction, signals,
// threads, time. How to run: libc_patch_fixture.h.
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

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unwind.h>

// call_filled(function, block) calls function with all registers that a system call preserves
// loaded from the block, with a pattern in the function's red zone, and stores them back.
// block: 12 general registers, 16 vector registers, broken red zone (0 or 1).
asm(R"(
.pushsection .text
.type call_filled, @function
call_filled:
  push %rbx
  push %rbp
  push %r12
  push %r13
  push %r14
  push %r15
  push %rsi
  mov %rdi, %r11
  lea -136(%rsp), %rdi
  mov $16, %ecx
  movabs $0x5aa5c33c12345678, %rax
  rep stosq
.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
  movdqu 96+16*\n(%rsi), %xmm\n
.endr
  mov 0(%rsi), %rbx
  mov 8(%rsi), %rbp
  mov 16(%rsi), %r12
  mov 24(%rsi), %r13
  mov 32(%rsi), %r14
  mov 40(%rsi), %r15
  mov 48(%rsi), %rdi
  mov 64(%rsi), %rdx
  mov 72(%rsi), %r8
  mov 80(%rsi), %r9
  mov 88(%rsi), %r10
  mov 56(%rsi), %rsi
  call *%r11
  mov 0(%rsp), %r11
  mov %rbx, 0(%r11)
  mov %rbp, 8(%r11)
  mov %r12, 16(%r11)
  mov %r13, 24(%r11)
  mov %r14, 32(%r11)
  mov %r15, 40(%r11)
  mov %rdi, 48(%r11)
  mov %rsi, 56(%r11)
  mov %rdx, 64(%r11)
  mov %r8, 72(%r11)
  mov %r9, 80(%r11)
  mov %r10, 88(%r11)
.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
  movdqu %xmm\n, 96+16*\n(%r11)
.endr
  lea -136(%rsp), %rdi
  mov $16, %ecx
  movabs $0x5aa5c33c12345678, %rax
  repe scasq
  setne 352(%r11)
  pop %rsi
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbp
  pop %rbx
  ret
.popsection
)");
extern "C" void call_filled(const void* function, void* block);

namespace {

struct Filled {
  uint64_t general[12];  // rbx rbp r12 r13 r14 r15 rdi rsi rdx r8 r9 r10
  unsigned char vectors[16][16];
  uint64_t red_zone_broken;
};
static_assert(offsetof(Filled, red_zone_broken) == 352);

void check_registers() {
  patch();
  Filled wanted;
  memset(&wanted, 0, sizeof wanted);
  for (unsigned i = 0; i < 12; ++i) wanted.general[i] = 0x1111111111111111u * (i + 1) + i;
  memset(wanted.vectors, 0xc9, sizeof wanted.vectors);
  void* page = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  wanted.general[6] = reinterpret_cast<uint64_t>(page);
  wanted.general[7] = 4096;
  forget();
  Filled got = wanted;
  call_filled(code_of("munmap"), &got);
  EXPECT(memcmp(&got, &wanted, sizeof got) == 0);
  EXPECT(!got.red_zone_broken);
  const Seen* s = find_call(__NR_munmap);
  EXPECT(s && s->frame.rbx == wanted.general[0] && s->frame.rbp == wanted.general[1] &&
         s->frame.r12 == wanted.general[2]);
  EXPECT(s && s->frame.r13 == wanted.general[3] && s->frame.r14 == wanted.general[4] &&
         s->frame.r15 == wanted.general[5]);
  EXPECT(s && s->args[2] == static_cast<long>(wanted.general[8]) &&
         s->args[3] == static_cast<long>(wanted.general[11]));
  EXPECT(s && s->top > reinterpret_cast<uint64_t>(&call_filled) &&
         s->top < reinterpret_cast<uint64_t>(&call_filled) + 512);
  EXPECT(s && s->frame.site_return ==
                  reinterpret_cast<uint64_t>(code_of("munmap")) + ovcshim::kSiteBytes);
}

// ---- unwinding

const void* frames[64];
unsigned frame_count;
_Unwind_Reason_Code note_frame(_Unwind_Context* context, void*) {
  if (frame_count < 64) frames[frame_count++] = reinterpret_cast<void*>(_Unwind_GetIP(context));
  return _URC_NO_REASON;
}
void take_backtrace() {
  frame_count = 0;
  _Unwind_Backtrace(note_frame, nullptr);
}
bool in_backtrace(const void* function, long bytes) {
  for (unsigned i = 0; i < frame_count; ++i) {
    long offset = static_cast<const char*>(frames[i]) - static_cast<const char*>(function);
    if (offset > 0 && offset <= bytes) return true;
  }
  return false;
}

[[gnu::noinline]] int release(void* page) {
  int result = munmap(page, 4096);
  asm volatile("" : : : "memory");  // no tail call
  return result;
}
[[gnu::noinline]] void* move(void* page) {
  void* result = mremap(page, 4096, 8192, MREMAP_MAYMOVE);
  asm volatile("" : : : "memory");
  return result;
}

void check_unwind() {
  take_backtrace();  // libgcc allocates at its first use
  patch();
  visit = take_backtrace;
  void* page = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT(in_backtrace(code_of("mmap"), 84));
  page = move(page);
  EXPECT(in_backtrace(code_of("mremap"), 170) && in_backtrace(reinterpret_cast<void*>(&move), 64));
  EXPECT(release(page) == 0);
  EXPECT(in_backtrace(code_of("munmap"), 33) &&
         in_backtrace(reinterpret_cast<void*>(&release), 64));
  pid_t child = fork();
  EXPECT(in_backtrace(code_of("_Fork"), 116) && in_backtrace(code_of("fork"), 1188));
  if (child == 0) _exit(wrong);
  int status = 0;
  EXPECT(waitpid(child, &status, 0) == child && status == 0);
}

// Stops at each instruction of stub and hook: asks for a backtrace there and goes through the same
// stub from the handler.
volatile unsigned steps_in_stub, steps_lost;
void on_step(int, siginfo_t*, void* context) {
  auto pc = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP];
  auto* at = reinterpret_cast<const unsigned char*>(pc);
  if (at < ovcshim_stub_mmap || at >= ovcshim_stub_mmap + 512)
    return;  // stubs and their common body: well below that
  for (const ovcshim::Site& site : ovcshim::kSites)
    if (at == site.stub) return;  // no return address there yet
  take_backtrace();
  bool complete = in_backtrace(reinterpret_cast<void*>(&release), 64) ||
                  in_backtrace(reinterpret_cast<void*>(&move), 64);
  steps_in_stub = steps_in_stub + 1;
  steps_lost = steps_lost + !complete;
  munmap(reinterpret_cast<void*>(pc & ~0xfffL), 0);
}

void single_step(bool on) {
  if (on)
    asm volatile(
        "lea -128(%%rsp), %%rsp\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tlea 128(%%rsp), %%rsp"
        :
        :
        : "memory", "cc");
  else
    asm volatile(
        "lea -128(%%rsp), %%rsp\n\tpushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq\n\tlea 128(%%rsp), "
        "%%rsp"
        :
        :
        : "memory", "cc");
}

void check_every_instruction() {
  take_backtrace();
  patch();
  struct sigaction action {};
  action.sa_sigaction = on_step;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGTRAP, &action, nullptr);
  void* page = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  single_step(true);
  void* moved = move(page);
  int released = release(moved);
  single_step(false);
  dprintf(1, "%u instructions of stubs, %u without a full backtrace\n", steps_in_stub, steps_lost);
  EXPECT(moved != MAP_FAILED && released == 0);
  EXPECT(steps_in_stub >= 60 && steps_lost == 0);
}

// ---- load

volatile unsigned long alarms;
void on_alarm(int) {
  int kept = errno;
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED || munmap(page, 4096)) wrong = true;
  alarms = alarms + 1;
  errno = kept;
}

void check_signals() {
  patch();
  signal(SIGALRM, on_alarm);
  itimerval often{{0, 100}, {0, 100}};
  setitimer(ITIMER_REAL, &often, nullptr);
  for (double end = seconds() + 1; seconds() < end && !wrong;) {
    errno = 0;
    EXPECT(munmap(reinterpret_cast<void*>(1), 4096) == -1 && errno == EINVAL);
    char* block = static_cast<char*>(keep(malloc(300000)));
    EXPECT(block);
    block[0] = block[299999] = 1;
    free(block);
  }
  itimerval off{};
  setitimer(ITIMER_REAL, &off, nullptr);
  EXPECT(alarms > 10);
}

void* hammer(void* number) {
  auto seed = static_cast<unsigned>(reinterpret_cast<uintptr_t>(number)) + 1;
  for (double end = seconds() + load_seconds; seconds() < end;) {
    seed = seed * 1103515245 + 12345;
    size_t size = (seed >> 8) % 400000 + 1;
    auto* block = static_cast<unsigned char*>(keep(malloc(size)));
    if (!block) return wrong = true, nullptr;
    block[0] = block[size - 1] = static_cast<unsigned char>(seed);
    if (seed % 3 == 0) block = static_cast<unsigned char*>(realloc(block, size *= 2));
    if (block[0] != static_cast<unsigned char>(seed)) wrong = true;
    free(block);
  }
  return nullptr;
}

void check_threads() {
  mallopt(M_MMAP_THRESHOLD, 128 * 1024);  // and keep it there: many mappings
  patch();
  pthread_t threads[8];
  for (uintptr_t i = 0; i < 8; ++i)
    pthread_create(&threads[i], nullptr, hammer, reinterpret_cast<void*>(i));
  for (double end = seconds() + load_seconds / 2; seconds() < end;) {
    pid_t child = fork();
    if (child == 0) _exit(keep(malloc(1 << 20)) ? 0 : 1);
    int status = 1;
    EXPECT(child > 0 && waitpid(child, &status, 0) == child && status == 0);
  }
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  dprintf(1, "mmap %lu munmap %lu mremap %lu mprotect %lu madvise %lu clone %lu\n",
          calls_seen[__NR_mmap], calls_seen[__NR_munmap], calls_seen[__NR_mremap],
          calls_seen[__NR_mprotect], calls_seen[__NR_madvise], calls_seen[__NR_clone]);
}

double munmap_ns() {
  constexpr int kCalls = 200000, kRounds = 9;
  double best = 1e9;
  for (int round = 0; round < kRounds; ++round) {
    double start = seconds();
    for (int i = 0; i < kCalls; ++i)
      munmap(reinterpret_cast<void*>(1), 4096);  // misaligned: refused at once
    double ns = (seconds() - start) / kCalls * 1e9;
    if (ns < best) best = ns;
  }
  return best;
}

void check_cost() {
  double before = munmap_ns();
  double start = seconds();
  patch();
  dprintf(1, "patch_libc: %.0f us\n", (seconds() - start) * 1e6);
  double after = munmap_ns();
  dprintf(1, "munmap, refused: %.1f ns, patched %.1f ns\n", before, after);
}

const Check kChecks[] = {
    {"registers", check_registers},
    {"unwind", check_unwind},
    {"every-instruction", check_every_instruction},
    {"signals", check_signals},
    {"threads", check_threads},
    {"cost", check_cost},
};

}  // namespace

int main(int argc, char** argv) { return run_check(kChecks, argc, argv); }
#endif
