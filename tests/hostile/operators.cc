// SPDX-License-Identifier: MIT
//
// Every operator new and delete of C++, sized, aligned and nothrow; what they get must come from
// malloc and go back to it. With OWN_OPERATORS the program brings its own, which count.
#include <malloc.h>
#include <pthread.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#ifdef OWN_OPERATORS
static long made, gone;
void* operator new(std::size_t size) {
  ++made;
  if (void* block = std::malloc(size ? size : 1)) return block;
  throw std::bad_alloc();
}
void operator delete(void* block) noexcept {
  if (block) ++gone;
  std::free(block);
}
void operator delete(void* block, std::size_t) noexcept { operator delete(block); }
#endif

namespace {

struct alignas(64) Wide {
  char bytes[192];
};
struct Small {
  ~Small() { bytes[0] = 0; }  // arrays of it carry their count
  char bytes[24];
};

template <typename Block>
void line(const char* name, Block* block, std::size_t alignment) {
  std::printf("%-16s %s aligned %d\n", name, block ? "block" : "null",
              int(reinterpret_cast<uintptr_t>(block) % alignment == 0));
}

void each_operator() {
  auto* one = new int(7);
  line("new", one, alignof(int));
  delete one;
  auto* many = new Small[1000];
  line("new[]", many, alignof(Small));
  delete[] many;
  auto* wide = new Wide;
  line("new aligned", wide, 64);
  delete wide;
  auto* wides = new Wide[9];
  line("new[] aligned", wides, 64);
  delete[] wides;
  auto* quiet = new (std::nothrow) Small;
  line("new nothrow", quiet, alignof(Small));
  delete quiet;
  void* raw = ::operator new(333);
  std::printf("%-16s usable %d\n", "operator new", malloc_usable_size(raw) >= 333);
  ::operator delete(raw, 333);  // sized
  raw = ::operator new (333, std::align_val_t{256});
  line("operator aligned", static_cast<char*>(raw), 256);
  ::operator delete (raw, 333, std::align_val_t{256});
}

void refusal() {
  volatile std::size_t huge = SIZE_MAX / 2;
  try {
    ::operator delete(::operator new(huge));
    std::puts("refusal          none");
  } catch (const std::bad_alloc&) { std::puts("refusal          bad_alloc"); }
  void* none = ::operator new(huge, std::nothrow);
  std::printf("refusal nothrow  %s\n", none ? "block" : "null");
}

void* containers(void*) {
  std::map<int, std::string> names;
  for (int i = 0; i < 5000; ++i)
    names[i * 7919 % 5003] = std::string(static_cast<std::size_t>(i % 300), 'x');
  std::size_t sum = 0;
  for (const auto& [key, text] : names) sum += text.size() + static_cast<std::size_t>(key);
  try {
    throw std::runtime_error(std::string(1000, 'e'));  // allocates in the unwinder too
  } catch (const std::exception& e) { sum += std::string(e.what()).size(); }
  return reinterpret_cast<void*>(sum);
}

}  // namespace

int main() {
  each_operator();
  refusal();
  std::vector<pthread_t> threads(4);
  for (auto& thread : threads) pthread_create(&thread, nullptr, containers, nullptr);
  for (auto& thread : threads) {
    void* sum = nullptr;
    pthread_join(thread, &sum);
    std::printf("thread           %zu\n", reinterpret_cast<std::size_t>(sum));
  }
#ifdef OWN_OPERATORS
  std::printf("own operators    %d\n", made > 0 && gone > 0);
#endif
}
