// SPDX-License-Identifier: MIT
//
// The functions behind the shim: for each interposed symbol the next definition in the loader's
// search order. Memory calls start out as raw system calls and allocations as a small arena, so
// that calls before the constructor need no test; the others are looked up when first needed.
#pragma once
#include <pthread.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <cstddef>
#include <cstdint>

#pragma GCC visibility push(hidden)  // extern declarations too: no detour through the GOT

extern "C" void*
    ovcshim_next_syscall;  // libc's syscall(), for the assembly; null before the constructor

namespace ovcshim {

struct Facts;

struct Next {
#define MEMORY(symbol, op, type, parameters, arguments, failure) type(*symbol) parameters = nullptr;
#define PLAIN(symbol, op, type, parameters, arguments, failure) type(*symbol) parameters = nullptr;
#define OTHER(symbol, op, type, parameters) type(*symbol) parameters = nullptr;
#define ALIAS(symbol, of)
#include "shim/providers/calls.def"
#undef MEMORY
#undef PLAIN
#undef OTHER
#undef ALIAS
};
extern Next next;

// Looks every symbol up (dlsym RTLD_NEXT). From the constructor, once. False if one that everything
// needs is missing.
bool resolve_all();

// Of a shim that was loaded late: malloc's family as the program's own calls find it, which may be
// another library's than libc's.
void serve_as_bound();

void* resolve_one(const char* symbol);

// For a wrapper: the slot may be empty before the constructor, or not be filled by it (LATE).
template <typename F>
F* found(F*& slot, const char* symbol) {
  if (__builtin_expect(!slot, 0)) slot = reinterpret_cast<F*>(resolve_one(symbol));
  return slot;
}

// What stands behind the functions that refuse on purpose (shim/refuse); `next` where there are
// none.
const Next& unrefused();
void set_unrefused(const Next& real);  // it must live for ever

// kStart facts: which address serves which op.
void add_providers(Facts& facts, const Next& from);
// The same of malloc's family alone: where its calls reach the shim by rewritten addresses.
void add_malloc_providers(Facts& facts);

// Allocations before the constructor: a bump arena. Blocks from it live for ever; free and realloc
// know them.
namespace early {
void* malloc(size_t size);
void* calloc(size_t nmemb, size_t size);
void* realloc(void* old, size_t size);
void free(void* address);
void* reallocarray(void* old, size_t nmemb, size_t size);
int posix_memalign(void** to, size_t alignment, size_t size);
void* aligned_alloc(size_t alignment, size_t size);
void* page_alloc(size_t size);
bool used();  // has the arena given anything out?
bool owns(const void* address);
size_t bytes_of(void* block);  // as asked for
}  // namespace early

}  // namespace ovcshim

#pragma GCC visibility pop
