// SPDX-License-Identifier: MIT
//
// malloc before the constructor: jemalloc's and other libraries' constructors, or a dlsym that
// allocates (glibc before 2.34), come here. Blocks are 16-byte aligned with their size before them;
// when the arena is full, whole pages come from the kernel. Nothing is ever reused.
#include <errno.h>

#include "shim/providers/providers.h"
#include "shim/sys/sys.h"

namespace ovcshim::early {
namespace {

constexpr size_t kArenaBytes = 16 * 1024;
constexpr size_t kAlign = 16;
alignas(4096) constinit unsigned char arena[kArenaBytes]{};
constinit size_t arena_used = 0;
constinit bool any_used = false;

void* no_memory() {
  errno = ENOMEM;
  return nullptr;
}

size_t& size_of(void* block) { return static_cast<size_t*>(block)[-1]; }

// A block at an address of the given alignment with room for its size before it.
void* place(unsigned char* from, size_t size, size_t alignment) {
  const uint64_t at = (reinterpret_cast<uint64_t>(from) + kAlign + alignment - 1) &
                      ~(static_cast<uint64_t>(alignment) - 1);
  auto* block = reinterpret_cast<void*>(at);
  size_of(block) = size;
  return block;
}

void* allocate(size_t size, size_t alignment) {
  if (size > PTRDIFF_MAX - 2 * alignment - 4096) return no_memory();
  __atomic_store_n(&any_used, true, __ATOMIC_RELAXED);
  const size_t need = (size + alignment + 2 * kAlign + kAlign - 1) & ~(kAlign - 1);
  size_t at = __atomic_load_n(&arena_used, __ATOMIC_RELAXED);
  while (need <= kArenaBytes - at)
    if (__atomic_compare_exchange_n(&arena_used, &at, at + need, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED))
      return place(arena + at, size, alignment);
  const long pages = sys::call(__NR_mmap, 0, static_cast<long>(need), 3 /* RW */,
                               0x22 /* PRIVATE|ANONYMOUS */, -1, 0);
  if (sys::failed(pages)) return no_memory();
  return place(reinterpret_cast<unsigned char*>(pages), size, alignment);
}

bool power_of_two(size_t n) { return n && !(n & (n - 1)); }

bool in_arena(const void* p) { return p >= arena && p < arena + kArenaBytes; }

}  // namespace

void* malloc(size_t size) { return allocate(size, kAlign); }

void* calloc(size_t nmemb, size_t size) {
  size_t total = 0;
  if (__builtin_mul_overflow(nmemb, size, &total)) return no_memory();
  return allocate(total, kAlign);  // arena and fresh pages are zero
}

void* realloc(void* old, size_t size) {
  void* fresh = allocate(size, kAlign);
  if (!old || !fresh) return fresh;
  sys::copy(fresh, old, size_of(old) < size ? size_of(old) : size);
  return fresh;
}

void* reallocarray(void* old, size_t nmemb, size_t size) {
  size_t total = 0;
  if (__builtin_mul_overflow(nmemb, size, &total)) return no_memory();
  return realloc(old, total);
}

void free(void*) {}

int posix_memalign(void** to, size_t alignment, size_t size) {
  if (!power_of_two(alignment) || alignment % sizeof(void*)) return EINVAL;
  const int saved = errno;
  void* block = allocate(size, alignment < kAlign ? kAlign : alignment);
  errno = saved;
  if (!block) return ENOMEM;
  *to = block;
  return 0;
}

void* aligned_alloc(size_t alignment, size_t size) {
  if (!power_of_two(alignment)) {
    errno = EINVAL;
    return nullptr;
  }
  return allocate(size, alignment < kAlign ? kAlign : alignment);
}

void* page_alloc(size_t size) { return allocate(size, 4096); }

bool used() { return __atomic_load_n(&any_used, __ATOMIC_RELAXED); }

bool owns(const void* p) { return in_arena(p); }
size_t bytes_of(void* p) { return size_of(p); }

}  // namespace ovcshim::early
