// SPDX-License-Identifier: MIT
//
// See syscall_x86_64.S.
#if defined(__aarch64__)
        .text
        .globl  syscall
        .type   syscall, %function
syscall:
        .cfi_startproc
        cmp     x0, 277                     // __NR_seccomp
        b.ne    1f
        cmp     x1, 1                       // set strict, set filter; others only ask
        b.hi    3f
        cset    w17, ne                     // strict: 1, filter: 0
        b       2f
1:      cmp     x0, 167                     // __NR_prctl
        b.ne    3f
        cmp     x1, 22                      // PR_SET_SECCOMP
        b.ne    3f
        cmp     x2, 1                       // SECCOMP_MODE_STRICT
        cset    w17, eq
2:      adrp    x16, ovcshim_quiet
        add     w17, w17, 1                 // kQuietFilter 1, kQuietStrict 2
        strb    w17, [x16, :lo12:ovcshim_quiet]
3:      adrp    x16, ovcshim_next_syscall
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
