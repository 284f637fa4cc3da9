// SPDX-License-Identifier: MIT
//
// syscall(2)'s libc wrapper, watched for one thing only: a program that enters seccomp. From then on the shim makes no system call of its own.
// A tail jump, since SYS_vfork and SYS_clone through it return twice. Before the constructor (jemalloc's bootstrap calls it inside malloc) the
// system call is made here.
#if defined(__x86_64__)
        .text
        .globl  syscall
        .type   syscall, @function
syscall:
        .cfi_startproc
        cmpq    $317, %rdi                  // __NR_seccomp
        jne     1f
        cmpq    $1, %rsi                    // SECCOMP_SET_MODE_STRICT 0, SECCOMP_SET_MODE_FILTER 1; others only ask
        ja      3f
        je      2f
        jmp     6f
1:      cmpq    $157, %rdi                  // __NR_prctl
        jne     3f
        cmpq    $22, %rsi                   // PR_SET_SECCOMP
        jne     3f
        cmpq    $1, %rdx                    // SECCOMP_MODE_STRICT
        je      6f
2:      movb    $1, ovcshim_quiet(%rip)     // kQuietFilter
        jmp     3f
6:      movb    $2, ovcshim_quiet(%rip)     // kQuietStrict
3:      movq    ovcshim_next_syscall(%rip), %rax
        testq   %rax, %rax
        je      4f
        jmp     *%rax
4:      movq    %rdi, %rax
        movq    %rsi, %rdi
        movq    %rdx, %rsi
        movq    %rcx, %rdx
        movq    %r8, %r10
        movq    %r9, %r8
        movq    8(%rsp), %r9
        syscall
        cmpq    $-4095, %rax
        jae     5f
        ret
5:      movq    %rax, %rdi
        jmp     ovcshim_failed_syscall      // sets errno, returns -1
        .cfi_endproc
        .size   syscall, .-syscall
        .section .note.GNU-stack, "", @progbits
#endif
