// SPDX-License-Identifier: MIT
//
// Functions of aarch64 written by hand, each of which calls the one it is given from a frame that
// compilers do not make: no chain of frame pointers, the CFA far away or told by an expression, the
// return address signed, kept in another register for a while, or restored on one of two ways out.
// Elsewhere there are none: the function is called as it is.
#pragma once

#if defined(__aarch64__)
typedef void (*called)(void);
void far_frame(called);
void by_expression(called);
void signed_return(called);
void two_ways(called, long which);
long moved_return(long value);

// clang-format off
#define FUNCTION(name) "  .p2align 2\n  .type " #name ", %function\n" #name ":\n  .cfi_startproc\n"
#define END(name) "  .cfi_endproc\n  .size " #name ", . - " #name "\n"
#define PUSH "  stp x29, x30, [sp, -32]!\n  .cfi_def_cfa_offset 32\n  .cfi_offset x29, -32\n  .cfi_offset x30, -24\n"
#define POP "  ldp x29, x30, [sp], 32\n  .cfi_def_cfa_offset 0\n  .cfi_restore x29\n  .cfi_restore x30\n"
__asm__(
    FUNCTION(far_frame)
    PUSH
    "  sub sp, sp, 3072\n  .cfi_def_cfa_offset 3104\n"
    "  mov x29, 42\n"
    "  blr x0\n"
    "  add sp, sp, 3072\n  .cfi_def_cfa_offset 32\n"
    POP
    "  ret\n"
    END(far_frame)

    FUNCTION(by_expression)
    PUSH
    "  mov x29, xzr\n"
    "  .cfi_escape 0x0f, 2, 0x8f, 32\n"  // DW_CFA_def_cfa_expression: sp (DW_OP_breg31) + 32
    "  blr x0\n"
    "  .cfi_def_cfa sp, 32\n"
    POP
    "  ret\n"
    END(by_expression)

    FUNCTION(signed_return)
    "  hint 25\n  .cfi_negate_ra_state\n"  // paciasp
    PUSH
    "  mov x29, sp\n  .cfi_def_cfa_register x29\n"
    "  sub sp, sp, 64\n"
    "  blr x0\n"
    "  add sp, sp, 64\n  .cfi_def_cfa_register sp\n"
    POP
    "  hint 29\n  .cfi_negate_ra_state\n"  // autiasp
    "  ret\n"
    END(signed_return)

    FUNCTION(two_ways)
    PUSH
    "  cbz x1, 1f\n"
    "  .cfi_remember_state\n"
    "  blr x0\n"
    POP
    "  ret\n"
    "  .cfi_restore_state\n"
    "1:\n"
    "  mov x29, sp\n"
    "  blr x0\n"
    POP
    "  ret\n"
    END(two_ways)

    FUNCTION(moved_return)
    "  mov x9, x30\n  .cfi_register x30, x9\n"
    "  add x0, x0, 1\n"
    "  mov x30, x0\n"
    "  add x0, x0, x30\n"
    "  mov x30, x9\n  .cfi_restore x30\n"
    "  ret\n"
    END(moved_return));
// clang-format on
#undef FUNCTION
#undef END
#undef PUSH
#undef POP

static long through_assembly(called it) {
  far_frame(it);
  by_expression(it);
  signed_return(it);
  two_ways(it, 0);
  two_ways(it, 1);
  return moved_return(3);
}
#else
static long through_assembly(void (*it)(void)) {
  it();
  return 0;
}
#endif
