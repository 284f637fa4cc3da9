// SPDX-License-Identifier: MIT
//
// See syscall_x86_64.S.
#if defined(__aarch64__)
        .text
        .globl  syscall
        .type   syscall, %function
syscall:
        .cfi_startproc
        cmp     x0, 511
        b.hi    7f
        adrp    x16, ovcshim_watched_syscalls
        add     x16, x16, :lo12:ovcshim_watched_syscalls
        lsr     x17, x0, 6
        ldr     x16, [x16, x17, lsl 3]
        lsr     x16, x16, x0
        tbz     x16, 0, 7f
        stp     x29, x30, [sp, -80]!
        .cfi_adjust_cfa_offset 80
        .cfi_rel_offset x29, 0
        .cfi_rel_offset x30, 8
        mov     x29, sp
        stp     x0, x1, [sp, 16]
        stp     x2, x3, [sp, 32]
        stp     x4, x5, [sp, 48]
        str     x6, [sp, 64]
        add     x0, sp, 16
        mov     x1, x30
        bl      ovcshim_plan_syscall        // x0: what to do, x1: the result
        mov     x16, x0
        mov     x17, x1
        ldp     x0, x1, [sp, 16]
        ldp     x2, x3, [sp, 32]
        ldp     x4, x5, [sp, 48]
        ldr     x6, [sp, 64]
        ldp     x29, x30, [sp], 80
        .cfi_adjust_cfa_offset -80
        .cfi_restore x29
        .cfi_restore x30
        cmp     x16, 1
        b.eq    7f
        b.hi    8f
        mov     x0, x17
        ret
8:      // clone, clone3: x0..x5 hold the number and five arguments, and the link register survives in both
        mov     x8, x0
        mov     x0, x1
        mov     x1, x2
        mov     x2, x3
        mov     x3, x4
        mov     x4, x5
        mov     x5, x0                      // the kernel gives x0 back changed
        svc     0
        cbnz    x0, 9f
        ret                                 // the child
9:      stp     x29, x30, [sp, -80]!
        .cfi_adjust_cfa_offset 80
        .cfi_rel_offset x29, 0
        .cfi_rel_offset x30, 8
        stp     x8, x5, [sp, 16]
        stp     x1, x2, [sp, 32]
        stp     x3, x4, [sp, 48]
        str     xzr, [sp, 64]
        mov     x1, x0
        mov     x2, x30
        add     x0, sp, 16
        bl      ovcshim_cloned
        ldp     x29, x30, [sp], 80
        .cfi_adjust_cfa_offset -80
        .cfi_restore x29
        .cfi_restore x30
        ret
7:      adrp    x16, ovcshim_next_syscall
        ldr     x16, [x16, :lo12:ovcshim_next_syscall]
        cbz     x16, 4f
        br      x16
4:      mov     x8, x0
        mov     x0, x1
        mov     x1, x2
        mov     x2, x3
        mov     x3, x4
        mov     x4, x5
        mov     x5, x6
        svc     0
        cmn     x0, 4095
        b.cs    ovcshim_failed_syscall
        ret
        .cfi_endproc
        .size   syscall, .-syscall
        .section .note.GNU-stack, "", %progbits
#endif
