// SPDX-License-Identifier: MIT
//
// The system call sites in glibc that libc_patch.cc knows, and the stubs that serve them (x86-64).
// One row per site; the table is expanded into the stubs, into their return slots and into the
// array that patch_libc walks.
// Read from the code of glibc 2.36 (Debian 12) and 2.41 (Debian 13), where the same rows fit.
//
// Not here, on purpose: the clone and clone3 of pthread_create and posix_spawn, and vfork. Their
// child runs on another stack or on its parent's, so that it must not come back through a stub.
// posix_madvise: nothing in libc calls it.
#pragma once

// clang-format off

// What follows `mov $nr,%eax; syscall` at a site:
//   kErrno    cmp $-4095,%rax; jae ...    or    cmp $-4096,%rax; ja ...
//   kBreak    mov %rax into __curbrk; cmp %rdi,%rax; jb ...
// Both set the flags before anything reads them, and read nothing that a system call does not
// preserve or return.
// Or the site is a mark: a `mov` of the number alone, whose system call follows and is left to libc.
// The stub only tells of it, and puts the number where the mov did:
//   kMarkAbort  mov $14,%eax; movq $32,(%rsp); syscall     abort(), before it raises SIGABRT
//   kMarkExit   mov $231,%esi; mov $60,%edx; jmp           _exit(), where every exit comes by
//
//      symbol    nr  tail     edi, loaded as an immediate before the site; 0: not looked at
#define OVCSHIM_LIBC_SITES(SITE)                                                   \
  SITE(mmap,       9, kErrno, 0)                                                   \
  SITE(mprotect,  10, kErrno, 0)                                                   \
  SITE(munmap,    11, kErrno, 0)                                                   \
  SITE(brk,       12, kBreak, 0)                                                   \
  SITE(mremap,    25, kErrno, 0)                                                   \
  SITE(madvise,   28, kErrno, 0)                                                   \
  SITE(_Fork,     56, kErrno, 0x1200011) /* CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD */ \
  SITE(abort,     14, kMarkAbort, 0)                                               \
  SITE(_exit,    231, kMarkExit, 0)
// What a stub loads: the number; of a mark, told apart by kMarkBase, also what the mov loaded.
#define OVCSHIM_LOAD_kErrno(nr) "  mov $" #nr ", %eax\n"
#define OVCSHIM_LOAD_kBreak(nr) "  mov $" #nr ", %eax\n"
#define OVCSHIM_LOAD_kMarkAbort(nr) "  mov $0x1000 + " #nr ", %eax\n"
#define OVCSHIM_LOAD_kMarkExit(nr) "  mov $0x1000 + " #nr ", %eax\n  mov $" #nr ", %esi\n"

// STUBS
// A site jumps here instead of making its system call: no return address is pushed, since a leaf
// function may keep data in the 128 bytes below its stack pointer. As the syscall instruction does,
// a stub puts the address behind the site into rcx. The frame below a site's stack pointer S; it is
// LibcSyscallFrame from S-192 up, `args` from S-240 up:
//     S-128..S-1   red zone, untouched
//     S-136        site_return          the unwinder finds the stub's return address here, so that
//                                       a backtrace goes
//     S-144        sp = S               hook <- stub <- libc function <- its caller
//     S-152..S-192 r15 r14 r13 r12 rbp rbx
//     S-200..S-240 r9 r8 r10 rdx rsi rdi
// Comes back with everything as the kernel leaves it (rax result, rcx clobbered), but r11 and the
// flags are anything: dead at every site by its tail. popf is not for this place: it costs more
// than all the rest, and under a debugger that steps over the stub it would set the trap flag anew.
// In the one instruction of a stub before rcx is loaded there is no return address to be found; the
// CFI says so.
#define OVCSHIM_STUB(symbol, nr, tail, edi)            \
  ".globl ovcshim_stub_" #symbol "\n"                     \
  ".hidden ovcshim_stub_" #symbol "\n"                    \
  ".type ovcshim_stub_" #symbol ", @function\n"           \
  ".p2align 4\n"                                          \
  "ovcshim_stub_" #symbol ":\n"                           \
  ".cfi_startproc\n"                                      \
  ".cfi_def_cfa %rsp, 0\n"                                \
  ".cfi_undefined %rip\n"                                 \
  "  mov ovcshim_return_" #symbol "(%rip), %rcx\n"        \
  ".cfi_register %rip, %rcx\n"                            \
  OVCSHIM_LOAD_##tail(nr)                                 \
  "  jmp .Lovcshim_stub_body\n"                           \
  ".cfi_endproc\n"                                        \
  ".size ovcshim_stub_" #symbol ", . - ovcshim_stub_" #symbol "\n"

#define OVCSHIM_STUB_BODY                                 \
  ".hidden ovcshim_libc_syscall\n"                        \
  ".type ovcshim_stub_body, @function\n"                  \
  ".p2align 4\n"                                          \
  "ovcshim_stub_body:\n"                                  \
  ".Lovcshim_stub_body:\n"                                \
  ".cfi_startproc\n"                                      \
  ".cfi_def_cfa %rsp, 0\n"                                \
  ".cfi_register %rip, %rcx\n"                            \
  "  lea -128(%rsp), %rsp\n"                              \
  ".cfi_def_cfa_offset 128\n"                             \
  "  push %rcx\n"                                         \
  ".cfi_def_cfa_offset 136\n"                             \
  ".cfi_offset %rip, -136\n"                              \
  "  lea 136(%rsp), %r11\n"                               \
  "  push %r11\n"                                         \
  ".cfi_def_cfa_offset 144\n"                             \
  "  push %r15\n"                                         \
  ".cfi_def_cfa_offset 152\n"                             \
  "  push %r14\n"                                         \
  ".cfi_def_cfa_offset 160\n"                             \
  "  push %r13\n"                                         \
  ".cfi_def_cfa_offset 168\n"                             \
  "  push %r12\n"                                         \
  ".cfi_def_cfa_offset 176\n"                             \
  "  push %rbp\n"                                         \
  ".cfi_def_cfa_offset 184\n"                             \
  ".cfi_offset %rbp, -184\n"                              \
  "  push %rbx\n"                                         \
  ".cfi_def_cfa_offset 192\n"                             \
  "  mov %rsp, %r11\n"                                    \
  "  push %r9\n"                                          \
  ".cfi_def_cfa_offset 200\n"                             \
  "  push %r8\n"                                          \
  ".cfi_def_cfa_offset 208\n"                             \
  "  push %r10\n"                                         \
  ".cfi_def_cfa_offset 216\n"                             \
  "  push %rdx\n"                                         \
  ".cfi_def_cfa_offset 224\n"                             \
  "  push %rsi\n"                                         \
  ".cfi_def_cfa_offset 232\n"                             \
  "  push %rdi\n"                                         \
  ".cfi_def_cfa_offset 240\n"                             \
  "  mov %rsp, %rbp\n"                                    \
  ".cfi_def_cfa_register %rbp\n"                          \
  "  and $-16, %rsp\n"                                    \
  "  mov %eax, %edi\n"                                    \
  "  mov %rbp, %rsi\n"                                    \
  "  mov %r11, %rdx\n"                                    \
  "  call ovcshim_libc_syscall\n"                         \
  "  mov %rbp, %rsp\n"                                    \
  ".cfi_def_cfa_register %rsp\n"                          \
  "  mov 0(%rsp), %rdi\n"                                 \
  "  mov 8(%rsp), %rsi\n"                                 \
  "  mov 16(%rsp), %rdx\n"                                \
  "  mov 24(%rsp), %r10\n"                                \
  "  mov 32(%rsp), %r8\n"                                 \
  "  mov 40(%rsp), %r9\n"                                 \
  "  mov 56(%rsp), %rbp\n"                                \
  ".cfi_restore %rbp\n"                                   \
  "  mov 104(%rsp), %rcx\n"                               \
  ".cfi_register %rip, %rcx\n"                            \
  "  lea 240(%rsp), %rsp\n"                               \
  ".cfi_def_cfa_offset 0\n"                               \
  "  notrack jmp *%rcx\n" /* no endbr there */            \
  ".cfi_endproc\n"                                        \
  ".size ovcshim_stub_body, . - ovcshim_stub_body\n"
// clang-format on
