// SPDX-License-Identifier: MIT
//
// vfork cannot be wrapped in C: the child returns from it and goes on over the parent's frame. The return address and the record's position
// therefore live in registers across the system call; registers belong to the task, memory to both.
#if defined(__x86_64__)
        .text
        .globl  vfork
        .type   vfork, @function
        .globl  __vfork
        .type   __vfork, @function
vfork:
__vfork:
        .cfi_startproc
        movq    (%rsp), %rdi                // the caller, for the record
        subq    $8, %rsp                    // calls want a 16-byte aligned stack
        .cfi_adjust_cfa_offset 8
        call    ovcshim_vfork_begin
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        cmpq    $-3, %rax
        jne     2f
        orq     $-1, %rax                   // refused by OVCSHIM_INJECT: errno is set
        ret
2:
        movq    %rax, %rsi                  // position: the kernel keeps rsi and rdi
        popq    %rdi                        // return address
        .cfi_adjust_cfa_offset -8
        .cfi_register %rip, %rdi
        movl    $58, %eax                   // __NR_vfork
        syscall
        pushq   %rdi                        // each side writes the slot anew: the child has run over it
        .cfi_adjust_cfa_offset 8
        .cfi_offset %rip, -8
        testq   %rax, %rax
        je      1f                          // the child
        movq    %rax, %rdi
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        call    ovcshim_vfork_end           // (result, position): completes the record, sets errno
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
1:      ret
        .cfi_endproc
        .size   vfork, .-vfork
        .size   __vfork, .-__vfork
        .section .note.GNU-stack, "", @progbits
#endif
