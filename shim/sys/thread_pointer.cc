// SPDX-License-Identifier: MIT
//
// See thread_pointer.h. glibc's block is told by what only glibc puts there: its own address,
// twice, and the pointer guard, a random number that all threads of a process have
// (sysdeps/x86_64/nptl/tls.h tcbhead_t); musl's by its own address and the stack protector's
// canary, which new threads copy (src/internal/pthread_impl.h struct pthread). Each thread pointer
// is looked at closely once, with system calls that prove it mapped; then it is found in a table,
// and only the words are compared.
#include "shim/sys/thread_pointer.h"

#include "shim/sys/seccomp.h"
#include "shim/sys/sys.h"

namespace ovcshim {
namespace {

constexpr unsigned kKnownBits = 10;
alignas(4096) constinit uint64_t known[1u << kKnownBits]{};  // by hash; a newcomer takes the place
constinit uint64_t first_thread = 0;  // its thread pointer; 0: not noted, nothing is asked
constinit uint64_t variable_at = 0;   // distance of ours from the thread pointer

uint64_t& place_of(uint64_t pointer) {
  return known[(pointer * 0x9e3779b97f4a7c15u) >> (64 - kKnownBits)];
}

uint64_t word(uint64_t at) { return *reinterpret_cast<const volatile uint64_t*>(at); }

bool mapped(uint64_t at) { return at % 8 == 0 && sys::readable(reinterpret_cast<const void*>(at)); }

#if defined(__x86_64__)

struct Shape {
  uint64_t self, secret;  // where its own address and the random number stand
};
constexpr Shape kGlibcShape = {0x10, 0x30}, kMuslShape = {0, 0x28};
constinit Shape shape = kGlibcShape;
constinit uint64_t secret = 0;           // of this process; its first thread may have ended
constexpr uint64_t kFsgsbase = 1u << 1;  // HWCAP2_FSGSBASE: the instruction is allowed
constinit bool has_rdfsbase = false;

uint64_t thread_pointer() {
  uint64_t pointer = 0;
  if (__builtin_expect(has_rdfsbase, 1)) {
    asm volatile("rdfsbase %0" : "=r"(pointer));
    return pointer;
  }
  constexpr long kGetFs = 0x1003;  // ARCH_GET_FS
  if (is_quiet() ||
      sys::failed(sys::call(__NR_arch_prctl, kGetFs, reinterpret_cast<long>(&pointer))))
    return first_thread;  // it cannot be known: as if nobody had one of his own
  return pointer;
}

bool is_libcs(uint64_t pointer) {
  return word(pointer) == pointer && word(pointer + shape.self) == pointer &&
         word(pointer + shape.secret) == secret;
}

bool is_mapped_around(uint64_t pointer) {
  return mapped(pointer) && mapped(pointer + shape.secret) &&
         mapped((pointer + variable_at) & ~uint64_t{7});
}

#else

uint64_t thread_pointer() {
  uint64_t pointer;
  asm volatile("mrs %0, tpidr_el0" : "=r"(pointer));
  return pointer;
}

// glibc's begins with the vector of the modules' blocks (sysdeps/aarch64/nptl/tls.h tcbhead_t);
// nothing in it says whose it is. musl's ends there: before it lie that vector and the canary
// (src/internal/pthread_impl.h TLS_ABOVE_TP).
constinit bool ends_there = false;
constinit uint64_t secret = 0;
constexpr uint64_t kVector = 8, kCanary = 16;

bool is_libcs(uint64_t pointer) {
  if (!ends_there) return word(pointer) != 0;
  return word(pointer - kVector) != 0 && word(pointer - kCanary) == secret;
}

bool is_mapped_around(uint64_t pointer) {
  return mapped(pointer) && (!ends_there || mapped(pointer - kCanary)) &&
         mapped((pointer + variable_at) & ~uint64_t{7});
}

#endif

// Where no system call may be made: glibc puts a thread's block at the upper end of its stack, so
// what is between is mapped.
bool is_above_stack(uint64_t pointer) {
  constexpr uint64_t kLargestStack = uint64_t{1} << 30;
  const auto here = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
  return pointer > here && pointer - here < kLargestStack;
}

[[gnu::cold, gnu::noinline]] bool look_closely(uint64_t pointer) {
  if (pointer % 8 || !(is_quiet() ? is_above_stack(pointer) : is_mapped_around(pointer)))
    return false;
  if (!is_libcs(pointer)) return false;
  __atomic_store_n(&place_of(pointer), pointer, __ATOMIC_RELAXED);
  return true;
}

}  // namespace

bool has_libc_tls() {
  if (!first_thread) return true;
  const uint64_t pointer = thread_pointer();
  if (pointer == first_thread) return true;
  if (__atomic_load_n(&place_of(pointer), __ATOMIC_RELAXED) == pointer && pointer &&
      is_libcs(pointer))
    return true;
  return look_closely(pointer);
}

bool note_libc_tls(Libc libc, const void* variable, uint64_t hwcap2) {
#if defined(__x86_64__)
  has_rdfsbase = hwcap2 & kFsgsbase;
  shape = libc == Libc::kMusl ? kMuslShape : kGlibcShape;
#else
  ends_there = libc == Libc::kMusl;
  (void)hwcap2;
#endif
  const uint64_t pointer = thread_pointer();
  if (!pointer) return libc == Libc::kGlibc;
  variable_at = reinterpret_cast<uint64_t>(variable) - pointer;
  first_thread = pointer;
#if defined(__x86_64__)
  secret = word(pointer + shape.secret);
#else
  if (ends_there) secret = word(pointer - kCanary);
#endif
  return is_libcs(pointer);
}

}  // namespace ovcshim
