// SPDX-License-Identifier: MIT
//
// syscall(2)'s libc wrapper. The numbers of ovcshim_watched_syscalls go to raw_syscall.cc. All others are a tail jump. Before the constructor (jemalloc's bootstrap
// calls it inside malloc) the system call is made here.
#if defined(__x86_64__)
        .text

        // The system call of clone or clone3 whose child shares our stack or gets another: nothing may be left on the stack across it. The
        // return address is in r9, which neither reads. A child on our stack writes it back, as does the parent after it; one with a stack of its
        // own finds there what the program has put there, as with libc.
        .macro raw_clone number, stack
        movq    %rsi, %rdi
        movq    %rdx, %rsi
        movq    %rcx, %rdx
        movq    %r8, %r10
        movq    %r9, %r8
        popq    %r9
        .cfi_adjust_cfa_offset -8
        .cfi_register %rip, %r9
        movl    $\number, %eax
        syscall
        testq   %rax, %rax
        jne     10f
        testq   \stack, \stack
        jne     11f
10:     pushq   %r9
        .cfi_adjust_cfa_offset 8
        .cfi_offset %rip, -8
        testq   %rax, %rax
        jne     12f
11:     ret
12:     subq    $56, %rsp
        .cfi_adjust_cfa_offset 56
        movq    $\number, (%rsp)
        movq    %rdi, 8(%rsp)
        movq    %rsi, 16(%rsp)
        movq    %rdx, 24(%rsp)
        movq    %r10, 32(%rsp)
        movq    %r8, 40(%rsp)
        movq    %rsp, %rdi
        movq    %rax, %rsi
        movq    56(%rsp), %rdx
        call    ovcshim_cloned
        addq    $56, %rsp
        .cfi_adjust_cfa_offset -56
        ret
        .endm

        .globl  syscall
        .type   syscall, @function
syscall:
        .cfi_startproc
        cmpq    $511, %rdi
        ja      7f
        leaq    ovcshim_watched_syscalls(%rip), %rax
        btq     %rdi, (%rax)
        jnc     7f
        subq    $72, %rsp
        .cfi_adjust_cfa_offset 72
        movq    %rdi, (%rsp)
        movq    %rsi, 8(%rsp)
        movq    %rdx, 16(%rsp)
        movq    %rcx, 24(%rsp)
        movq    %r8, 32(%rsp)
        movq    %r9, 40(%rsp)
        movq    80(%rsp), %rax              // the sixth argument, above the return address
        movq    %rax, 48(%rsp)
        movq    %rsp, %rdi
        movq    72(%rsp), %rsi              // the caller
        call    ovcshim_plan_syscall        // rax: what to do, rdx: the result
        movq    %rax, %r10
        movq    %rdx, %r11
        movq    (%rsp), %rdi
        movq    8(%rsp), %rsi
        movq    16(%rsp), %rdx
        movq    24(%rsp), %rcx
        movq    32(%rsp), %r8
        movq    40(%rsp), %r9
        addq    $72, %rsp
        .cfi_adjust_cfa_offset -72
        cmpq    $1, %r10
        je      7f
        ja      8f
        movq    %r11, %rax
        ret
8:      cmpq    $3, %r10
        jb      vfork
        ja      9f
        .cfi_remember_state
        raw_clone 56, %rsi
        .cfi_restore_state
9:      .cfi_remember_state
        raw_clone 435, %rdx
        .cfi_restore_state
7:      movq    ovcshim_next_syscall(%rip), %rax
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
