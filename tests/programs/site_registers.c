// SPDX-License-Identifier: MIT
// aarch64: libc's own munmap, mprotect and madvise are a system call that changes x0 and nothing
// else, also where the shim has put a branch before it. All registers are filled, compared after.
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#if defined(__aarch64__)
struct filled {
  uint64_t x[30];  // x0 to x28
  unsigned char q[32][16];
} __attribute__((aligned(16)));
void call_filled(struct filled* all, void* function);
// clang-format off
__asm__(
    ".type call_filled, %function\n"
    "call_filled:\n"
    "  .cfi_startproc\n"
    "  stp x29, x30, [sp, -176]!\n"
    "  .cfi_def_cfa_offset 176\n"
    "  .cfi_offset x29, -176\n"
    "  .cfi_offset x30, -168\n"
    "  stp x19, x20, [sp, 16]\n"
    "  stp x21, x22, [sp, 32]\n"
    "  stp x23, x24, [sp, 48]\n"
    "  stp x25, x26, [sp, 64]\n"
    "  stp x27, x28, [sp, 80]\n"
    "  stp d8, d9, [sp, 96]\n"
    "  stp d10, d11, [sp, 112]\n"
    "  stp d12, d13, [sp, 128]\n"
    "  stp d14, d15, [sp, 144]\n"
    "  str x0, [sp, 160]\n"
    "  mov x30, x1\n"
    "  add x29, x0, 240\n"
    "  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31\n"
    "  ldr q\\n, [x29], 16\n"
    "  .endr\n"
    "  mov x29, x0\n"
    "  .irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 0\n"
    "  ldr x\\n, [x29, 8 * \\n]\n"
    "  .endr\n"
    "  mov x29, sp\n"
    "  blr x30\n"
    "  ldr x29, [sp, 160]\n"
    "  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28\n"
    "  str x\\n, [x29, 8 * \\n]\n"
    "  .endr\n"
    "  add x0, x29, 240\n"
    "  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31\n"
    "  str q\\n, [x0], 16\n"
    "  .endr\n"
    "  ldp x19, x20, [sp, 16]\n"
    "  ldp x21, x22, [sp, 32]\n"
    "  ldp x23, x24, [sp, 48]\n"
    "  ldp x25, x26, [sp, 64]\n"
    "  ldp x27, x28, [sp, 80]\n"
    "  ldp d8, d9, [sp, 96]\n"
    "  ldp d10, d11, [sp, 112]\n"
    "  ldp d12, d13, [sp, 128]\n"
    "  ldp d14, d15, [sp, 144]\n"
    "  ldp x29, x30, [sp], 176\n"
    "  .cfi_def_cfa_offset 0\n"
    "  .cfi_restore x29\n"
    "  .cfi_restore x30\n"
    "  ret\n"
    "  .cfi_endproc\n"
    "  .size call_filled, . - call_filled\n");;
// clang-format on

static int check(const char* name, uint64_t nr, void* page, uint64_t third) {
  struct filled wanted, got;
  for (unsigned i = 0; i < 30; ++i) wanted.x[i] = 0x0101010101010101u * (i + 1);
  for (unsigned i = 0; i < 32; ++i) memset(wanted.q[i], (int)(0xc0 + i), 16);
  wanted.x[0] = (uint64_t)(uintptr_t)page, wanted.x[1] = 4096, wanted.x[2] = third;
  got = wanted;
  call_filled(&got, dlsym(dlopen("libc.so.6", RTLD_LAZY), name));
  wanted.x[0] = 0, wanted.x[8] = nr;
  const int same = memcmp(&got, &wanted, sizeof got) == 0;
  for (unsigned i = 0; i < 29; ++i)
    if (got.x[i] != wanted.x[i]) printf("%s: x%u is %#lx\n", name, i, (unsigned long)got.x[i]);
  printf("%s %s\n", name, same ? "ok" : "WRONG");
  return same;
}

int main(void) {
  void* page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int good = check("mprotect", SYS_mprotect, page, PROT_NONE);
  good &= check("madvise", SYS_madvise, page, MADV_DONTNEED);
  good &= check("munmap", SYS_munmap, page, 0);
  return !good;
}
#else
int main(void) { return puts("skipped: for aarch64"), 77; }
#endif
