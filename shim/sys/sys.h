// SPDX-License-Identifier: MIT
//
// Raw system calls and the few byte helpers the shim needs. Contract for everything here: callable
// at any time, in any thread, in signal handlers, before main, in a vfork child; touches no errno,
// no TLS, no lock, no libc state. Results are the kernel's: a value, or -errno in [-4095, -1].
#pragma once
#include <asm/unistd.h>
#include <cstddef>
#include <cstdint>

namespace ovcshim::sys {

inline long call(long nr, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
#if defined(__x86_64__)
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  long result;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 asm("x8") = nr;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  register long x5 asm("x5") = f;
  asm volatile("svc 0"
               : "+r"(x0)
               : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
               : "memory");
  return x0;
#else
#error "libovcshim knows x86-64 and aarch64"
#endif
}

inline bool failed(long result) {
  return static_cast<unsigned long>(result) >= static_cast<unsigned long>(-4095L);
}

// True if the 8 bytes at `address` can be read. One cheap system call: rt_sigprocmask copies the
// set in before it looks at `how`. False also where a seccomp filter answers in the kernel's place:
// whatever it says proves nothing.
bool readable(const void* address);
// From now on both are false. For valgrind, which tells each such question as an error of the
// program, in the program's own report.
void ask_no_addresses();

// True if all pages of the range can be read: one system call for them all (MADV_POPULATE_READ,
// since Linux 5.14), which also maps them. False may mean no more than that it cannot be asked so.
bool readable_range(uint64_t start, uint64_t end);

// Not memcpy/memset/strlen: those are libc's and can be somebody's interposed version.
inline void copy(void* to, const void* from, size_t len) {
  auto* t = static_cast<unsigned char*>(to);
  auto* f = static_cast<const unsigned char*>(from);
#if defined(__x86_64__)
  asm volatile("rep movsb" : "+D"(t), "+S"(f), "+c"(len) : : "memory");
#else
  while (len--) *t++ = *f++;
#endif
}
inline void zero(void* to, size_t len) {
  auto* t = static_cast<unsigned char*>(to);
#if defined(__x86_64__)
  if (__builtin_constant_p(len % 8 == 0) && len % 8 == 0) {
    len /= 8;
    asm volatile("rep stosq" : "+D"(t), "+c"(len) : "a"(0) : "memory");
    return;
  }
  asm volatile("rep stosb" : "+D"(t), "+c"(len) : "a"(0) : "memory");
#else
  while (len--) *t++ = 0;
#endif
}
inline size_t length(const char* s) {
  size_t n = 0;
  while (s[n]) ++n;
  return n;
}
inline bool equal(const char* a, const char* b, size_t len) {
  for (size_t i = 0; i < len; ++i)
    if (a[i] != b[i]) return false;
  return true;
}
inline bool starts_with(const char* text, const char* word) {
  while (*word && *text == *word) ++text, ++word;
  return !*word;
}
inline bool contains(const char* text, size_t len, const char* word) {
  const size_t n = length(word);
  for (size_t i = 0; i + n <= len; ++i)
    if (equal(text + i, word, n)) return true;
  return false;
}

}  // namespace ovcshim::sys
