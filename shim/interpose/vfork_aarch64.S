// SPDX-License-Identifier: MIT
//
// See vfork_x86_64.S. The kernel preserves x1..x30 across svc: the link register and the position stay in registers.
#if defined(__aarch64__)
        .text
        .globl  vfork
        .type   vfork, %function
        .globl  __vfork
        .type   __vfork, %function
vfork:
__vfork:
        .cfi_startproc
        stp     x29, x30, [sp, -16]!
        .cfi_adjust_cfa_offset 16
        .cfi_rel_offset x29, 0
        .cfi_rel_offset x30, 8
        mov     x0, x30
        bl      ovcshim_vfork_begin
        ldp     x29, x30, [sp], 16
        .cfi_adjust_cfa_offset -16
        .cfi_restore x29
        .cfi_restore x30
        cmn     x0, 3
        b.ne    2f
        mov     x0, -1                      // refused by OVCSHIM_INJECT: errno is set
        ret
2:
        mov     x7, x0                      // position
        mov     x0, 0x4111                  // CLONE_VM | CLONE_VFORK | SIGCHLD
        mov     x1, 0
        mov     x8, 220                     // __NR_clone
        svc     0
        cbz     x0, 1f                      // the child
        stp     x29, x30, [sp, -16]!
        .cfi_adjust_cfa_offset 16
        .cfi_rel_offset x29, 0
        .cfi_rel_offset x30, 8
        mov     x1, x7
        bl      ovcshim_vfork_end
        ldp     x29, x30, [sp], 16
        .cfi_adjust_cfa_offset -16
        .cfi_restore x29
        .cfi_restore x30
1:      ret
        .cfi_endproc
        .size   vfork, .-vfork
        .section .note.GNU-stack, "", %progbits
#endif
