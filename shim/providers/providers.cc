// SPDX-License-Identifier: MIT
//
// See providers.h. dlsym of a symbol that exists does not allocate since glibc 2.34; before, what
// it allocates comes from the arena.
#include "shim/providers/providers.h"

#include <dlfcn.h>
#include <errno.h>
#include <type_traits>

#include "shim/proc/proc_files.h"
#include "shim/sys/loaded_objects.h"
#include "shim/sys/sys.h"

#if defined(__x86_64__)
__asm__(".symver dlsym, dlsym@GLIBC_2.2.5");  // present in every glibc since; the default version
                                              // is newer
#elif defined(__aarch64__)
__asm__(".symver dlsym, dlsym@GLIBC_2.17");
#endif

// Weak: until glibc 2.33 it was in libdl.so.2, which most programs do not load; without it no
// program would start there.
#pragma weak dlsym

extern "C" {
constinit void* ovcshim_next_syscall = nullptr;
}

namespace ovcshim {
namespace {

// The memory calls as libc makes them.
template <typename T>
T checked(long result, T failure) {
  if (!sys::failed(result)) return reinterpret_cast<T>(result);
  errno = static_cast<int>(-result);
  return failure;
}
int checked(long result) {
  if (!sys::failed(result)) return static_cast<int>(result);
  errno = static_cast<int>(-result);
  return -1;
}

void* raw_mmap(void* addr, size_t len, int prot, int flags, int fd, off_t offset) {
  return checked(sys::call(__NR_mmap, reinterpret_cast<long>(addr), static_cast<long>(len), prot,
                           flags, fd, offset),
                 reinterpret_cast<void*>(-1));
}
int raw_munmap(void* addr, size_t len) {
  return checked(sys::call(__NR_munmap, reinterpret_cast<long>(addr), static_cast<long>(len)));
}
int raw_mprotect(void* addr, size_t len, int prot) {
  return checked(
      sys::call(__NR_mprotect, reinterpret_cast<long>(addr), static_cast<long>(len), prot));
}
int raw_madvise(void* addr, size_t len, int advice) {
  return checked(
      sys::call(__NR_madvise, reinterpret_cast<long>(addr), static_cast<long>(len), advice));
}
void* raw_mremap(void* old, size_t old_len, size_t new_len, int flags, ...) {
  __builtin_va_list list;
  __builtin_va_start(list, flags);
  void* to = __builtin_va_arg(list, void*);
  __builtin_va_end(list);
  return checked(sys::call(__NR_mremap, reinterpret_cast<long>(old), static_cast<long>(old_len),
                           static_cast<long>(new_len), flags, reinterpret_cast<long>(to)),
                 reinterpret_cast<void*>(-1));
}

// Once the arena has given a block out, the program may hand it back at any time.
Next behind;  // what free and realloc really are, when the guarded ones stand before them

void guarded_free(void* p) {
  if (!early::owns(p)) behind.free(p);
}
void* move_out(void* old, size_t size) {
  void* fresh = behind.malloc(size);
  if (fresh) sys::copy(fresh, old, early::bytes_of(old) < size ? early::bytes_of(old) : size);
  return fresh;
}
void* guarded_realloc(void* old, size_t size) {
  return early::owns(old) ? move_out(old, size) : behind.realloc(old, size);
}
void* guarded_reallocarray(void* old, size_t nmemb, size_t size) {
  size_t total = 0;
  if (!early::owns(old) || __builtin_mul_overflow(nmemb, size, &total))
    return behind.reallocarray(old, nmemb, size);
  return move_out(old, total);
}

void guard_arena() {
  behind = next;
  next.free = guarded_free;
  next.realloc = guarded_realloc;
  next.reallocarray = guarded_reallocarray;
}

}  // namespace

constinit Next next{
    .munmap = raw_munmap,
    .mprotect = raw_mprotect,
    .madvise = raw_madvise,
    .mmap = raw_mmap,
    .mremap = raw_mremap,
    .malloc = early::malloc,
    .calloc = early::calloc,
    .realloc = early::realloc,
    .reallocarray = early::reallocarray,
    .free = early::free,
    .posix_memalign = early::posix_memalign,
    .aligned_alloc = early::aligned_alloc,
    .memalign = early::aligned_alloc,
    .valloc = early::page_alloc,
    .pvalloc = early::page_alloc,
};

namespace {
constinit const Next* g_unrefused = &next;
}
const Next& unrefused() { return *g_unrefused; }
void set_unrefused(const Next& real) { g_unrefused = &real; }

void* resolve_one(const char* symbol) {
  return &::dlsym ? ::dlsym(RTLD_NEXT, symbol) : find_function_behind(_DYNAMIC, symbol);
}

// The program's first dlerror() must not tell of a name that we have asked for in vain.
void forget_dlerror() {
  if (void* found = resolve_one("dlerror")) reinterpret_cast<char* (*)()>(found)();
}

bool resolve_all() {
  bool missing = false;
  // The address is stored bit by bit: a cast between object and function pointers is what dlsym
  // asks for.
  auto set = [&missing](auto& slot, const char* symbol) {
    if (void* found = resolve_one(symbol))
      slot = reinterpret_cast<std::remove_reference_t<decltype(slot)>>(found);
    else missing = true;
  };
#define MEMORY(symbol, op, type, parameters, arguments, failure) set(next.symbol, #symbol);
#define PLAIN(symbol, op, type, parameters, arguments, failure) set(next.symbol, #symbol);
#define OTHER(symbol, op, type, parameters) set(next.symbol, #symbol);
#define LATE(symbol, op, type, parameters)
#define ALIAS(symbol, of)
#include "shim/providers/calls.def"
#undef MEMORY
#undef PLAIN
#undef OTHER
#undef ALIAS
  ovcshim_next_syscall = reinterpret_cast<void*>(next.syscall);
  if (missing && &::dlsym) forget_dlerror();
  if (early::used()) guard_arena();
  return next.fork && next.execve && next._exit;
}

// RTLD_NEXT of an object that was loaded late is among what it needs itself: libc.
void serve_as_bound() {
  auto set = [](auto& slot, const char* symbol) {
    if (void* found = find_function_behind(nullptr, symbol))
      slot = reinterpret_cast<std::remove_reference_t<decltype(slot)>>(found);
  };
#define MALLOC(symbol) set(next.symbol, #symbol);
#include "shim/providers/malloc_family.def"
#undef MALLOC
}

namespace {

extern "C" [[gnu::visibility("hidden")]] const char __ehdr_start[], _end[];

template <typename Function>
void add_provider(Facts& facts, Op op, const char* symbol, Function* behind_us) {
  const auto key = [op](FactKey base) {
    return static_cast<FactKey>(static_cast<uint32_t>(base) + static_cast<uint32_t>(op));
  };
  if (behind_us) facts.add(key(FactKey::kProviderBase), reinterpret_cast<uint64_t>(behind_us));
  auto* reached = static_cast<const char*>(  // there is one at least: the shim's
      &::dlsym ? ::dlsym(RTLD_DEFAULT, symbol) : find_function_behind(nullptr, symbol));
  const bool ours = reached >= __ehdr_start && reached < _end;
  if (reached && !ours) facts.add(key(FactKey::kFrontBase), reinterpret_cast<uint64_t>(reached));
}

}  // namespace

void add_malloc_providers(Facts& facts) {
  const auto add = [&facts](Op op, auto* function) {
    facts.add(static_cast<FactKey>(static_cast<uint32_t>(FactKey::kProviderBase) +
                                   static_cast<uint32_t>(op)),
              reinterpret_cast<uint64_t>(function));
  };
  add(Op::kMalloc, next.malloc);
  add(Op::kFree, next.free);
  add(Op::kRealloc, next.realloc);
  add(Op::kCalloc, next.calloc);
}

void add_providers(Facts& facts, const Next& from) {
  add_provider(facts, Op::kMalloc, "malloc", from.malloc);
  add_provider(facts, Op::kFree, "free", from.free == guarded_free ? behind.free : from.free);
  add_provider(facts, Op::kRealloc, "realloc",
               from.realloc == guarded_realloc ? behind.realloc : from.realloc);
  add_provider(facts, Op::kCalloc, "calloc", from.calloc);
  add_provider(facts, Op::kMmap, "mmap", from.mmap);
  add_provider(facts, Op::kFork, "fork", from.fork);
  add_provider(facts, Op::kVfork, "vfork", from.vfork);
  add_provider(facts, Op::kClone, "clone", from.clone);
  add_provider(facts, Op::kPthreadCreate, "pthread_create", from.pthread_create);
  add_provider(facts, Op::kExecve, "execve", from.execve);
}

}  // namespace ovcshim
