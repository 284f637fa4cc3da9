// SPDX-License-Identifier: MIT
//
// The victim of the kill test: threads that come and go and children that are forked and killed
// allocate and map until the end, and journal each call after it returned. argv[1]: the journal. It
// never ends by itself.
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "tests/trust/kill/journal.h"

using kill_test::Actor;
using kill_test::Entry;
using kill_test::Journal;
using ovcshim::Op;

extern "C" const char __executable_start, etext;

namespace {

Journal* journal;

uint64_t tick() {
#if defined(__x86_64__)
  return __rdtsc();
#else
  return 0;
#endif
}

uint64_t word(const void* p) { return reinterpret_cast<uint64_t>(p); }

constexpr unsigned kBlocks = 48, kMaps = 6, kChildren = 2;

// What one thread owns. Lives on its stack: nothing here may call malloc unseen.
struct Self {
  Actor* actor;
  uint64_t random;
  void* blocks[kBlocks];
  uint64_t sizes[kBlocks];
  void* maps[kMaps];
  uint64_t lengths[kMaps];
  pid_t children[kChildren];
  Actor* childrens_actors[kChildren];
};

uint64_t draw(Self& self, uint64_t below) {
  self.random ^= self.random << 13;
  self.random ^= self.random >> 7;
  self.random ^= self.random << 17;
  return (self.random >> 11) % below;
}

// Some are kept back: several threads may ask at once.
bool is_journal_full() {
  return __atomic_load_n(&journal->next, __ATOMIC_RELAXED) >= kill_test::kActors - 64;
}

// A place in the journal, for this thread or a child to be.
Actor* new_actor() {
  const uint32_t index = __atomic_fetch_add(&journal->next, 1, __ATOMIC_RELAXED);
  return index < kill_test::kActors ? &journal->actors[index] : nullptr;
}

void take_part(Self& self, Actor* actor, uint64_t seed, bool forked) {
  self.actor = actor;
  self.random = seed;
  actor->forked = forked;
  actor->pid = static_cast<uint32_t>(getpid());
  __atomic_store_n(&actor->tid, static_cast<uint32_t>(syscall(SYS_gettid)), __ATOMIC_RELEASE);
}

// The entry of the call about to be made.
Entry& before(Self& self, Op op, uint64_t a0, uint64_t a1 = 0, uint64_t a2 = 0, uint64_t a3 = 0) {
  Actor& actor = *self.actor;
  Entry& entry = actor.ring[actor.done % kill_test::kRing];
  entry = {tick(), {a0, a1, a2, a3}, 0, op, 0, 0};
  __atomic_store_n(&actor.in_flight, actor.done + 1, __ATOMIC_RELEASE);
  return entry;
}

void after(Self& self, Entry& entry, int64_t result, bool failed, uint64_t bytes = 0) {
  Actor& actor = *self.actor;
  entry.result = result;
  entry.err = static_cast<uint16_t>(failed ? errno : 0);
  ++actor.counts[static_cast<unsigned>(entry.op)];
  actor.bytes += bytes;
  if (bytes >= ovcshim::kBigRequestBytes) actor.big_records += entry.op == Op::kRealloc ? 2 : 1;
  __atomic_store_n(&actor.done, actor.done + 1, __ATOMIC_RELEASE);
}

void* block_made(Self& self, Entry& entry, void* block, uint64_t size) {
  after(self, entry, static_cast<int64_t>(word(block)), !block, size);
  return block;
}

uint64_t draw_size(Self& self) {
  const uint64_t kind = draw(self, 64);
  if (kind == 0) return ovcshim::kBigRequestBytes + draw(self, 100000);
  return kind < 4 ? 1 + draw(self, ovcshim::kBigRequestBytes - 1) : 1 + draw(self, 600);
}

void* make_block(Self& self, uint64_t size) {
  switch (draw(self, 6)) {
    case 0: {
      Entry& e = before(self, Op::kCalloc, 1, size);
      return block_made(self, e, calloc(1, size), size);
    }
    case 1: {
      Entry& e = before(self, Op::kAlignedAlloc, 64, size);
      return block_made(self, e, aligned_alloc(64, size), size);
    }
    case 2: {
      Entry& e = before(self, Op::kPosixMemalign, 32, size);
      void* block = nullptr;
      const int code = posix_memalign(&block, 32, size);
      e.args[2] = word(block);
      after(self, e, code, code != 0, size);
      return block;
    }
    default: {
      Entry& e = before(self, Op::kMalloc, size);
      return block_made(self, e, malloc(size), size);
    }
  }
}

void use_block(Self& self) {
  const uint64_t i = draw(self, kBlocks);
  const uint64_t size = draw_size(self);
  if (!self.blocks[i]) {
    self.blocks[i] = make_block(self, size);
    self.sizes[i] = size;
  } else if (draw(self, 4) == 0) {
    Entry& e = before(self, Op::kRealloc, word(self.blocks[i]), size);
    self.blocks[i] = block_made(self, e, realloc(self.blocks[i], size), size);
    self.sizes[i] = size;
  } else {
    Entry& e = before(self, Op::kFree, word(self.blocks[i]));
    free(self.blocks[i]);
    after(self, e, 0, false);
    self.blocks[i] = nullptr;
  }
}

void map_new(Self& self, uint64_t i) {
  const bool hopeless = draw(self, 40) == 0;
  const uint64_t length = hopeless ? uint64_t{1} << 60 : 4096 * (1 + draw(self, 64));
  constexpr int kProt = PROT_READ | PROT_WRITE, kFlags = MAP_PRIVATE | MAP_ANONYMOUS;
  Entry& e = before(self, Op::kMmap, 0, length, kProt, kFlags);
  void* map = mmap(nullptr, length, kProt, kFlags, -1, 0);
  after(self, e, static_cast<int64_t>(word(map)), map == MAP_FAILED);
  self.maps[i] = map == MAP_FAILED ? nullptr : map;
  self.lengths[i] = length;
}

void use_map(Self& self) {
  const uint64_t i = draw(self, kMaps);
  if (!self.maps[i]) return map_new(self, i);
  const uint64_t kind = draw(self, 4);
  if (kind == 0) {
    Entry& e = before(self, Op::kMprotect, word(self.maps[i]), self.lengths[i], PROT_READ);
    const int result = mprotect(self.maps[i], self.lengths[i], PROT_READ);
    after(self, e, result, result != 0);
  } else if (kind == 1) {
    const uint64_t length = 4096 * (1 + draw(self, 64));
    Entry& e =
        before(self, Op::kMremap, word(self.maps[i]), self.lengths[i], length, MREMAP_MAYMOVE);
    void* map = mremap(self.maps[i], self.lengths[i], length, MREMAP_MAYMOVE);
    after(self, e, static_cast<int64_t>(word(map)), map == MAP_FAILED);
    if (map != MAP_FAILED) self.maps[i] = map, self.lengths[i] = length;
  } else {
    Entry& e = before(self, Op::kMunmap, word(self.maps[i]), self.lengths[i]);
    const int result = munmap(self.maps[i], self.lengths[i]);
    after(self, e, result, result != 0);
    self.maps[i] = nullptr;
  }
}

void work(Self& self, uint64_t calls);

void mark_over(Actor* actor) { __atomic_store_n(&actor->over, 1, __ATOMIC_RELEASE); }

[[noreturn]] void be_child(Actor* actor, uint64_t seed) {
  Self self{};
  take_part(self, actor, seed, true);
  work(self, draw(self, 700));
  mark_over(actor);
  _exit(0);
}

void bury(Self& self, unsigned i) {
  const pid_t child = self.children[i];
  self.children[i] = 0;
  if (child <= 0) return;
  if (draw(self, 2)) {
    mark_over(self.childrens_actors[i]);
    kill(child, SIGKILL);
  }
  Entry& e = before(self, Op::kWaitpid, static_cast<uint64_t>(static_cast<int64_t>(child)), 0);
  const pid_t got = waitpid(child, nullptr, 0);
  after(self, e, got, got < 0);
}

// At most kChildren live: the oldest is waited for, half of the time after it was killed wherever
// it was.
void use_fork(Self& self) {
  const auto i = static_cast<unsigned>(draw(self, kChildren));
  bury(self, i);
  if (is_journal_full()) return;
  Actor* actor = self.childrens_actors[i] = new_actor();
  const uint64_t seed = draw(self, UINT64_MAX) | 1;
  Entry& e = before(self, Op::kFork, 0);
  const pid_t pid = fork();
  if (pid == 0) be_child(actor, seed);
  after(self, e, pid, pid < 0);
  self.children[i] = pid;
}

void work(Self& self, uint64_t calls) {
  for (uint64_t n = 0; n < calls; ++n) {
    if (draw(self, journal->mapper) == 0) use_map(self);
    else if (!self.actor->forked && draw(self, journal->forks) == 0) use_fork(self);
    else use_block(self);
  }
}

void* thread_main(void* seed) {
  Self self{};
  take_part(self, new_actor(), word(seed), false);
  work(self, 500 + draw(self, 20000));
  for (unsigned i = 0; i < kChildren; ++i) bury(self, i);
  mark_over(self.actor);
  return nullptr;
}

pthread_t start_thread(Self& self) {
  pthread_t thread{};
  const uint64_t seed = draw(self, UINT64_MAX) | 1;
  Entry& e = before(self, Op::kPthreadCreate, 0, word(reinterpret_cast<void*>(thread_main)));
  const int code = pthread_create(&thread, nullptr, thread_main, reinterpret_cast<void*>(seed));
  errno = code;
  after(self, e, code, code != 0);
  return thread;
}

bool map_journal(const char* path) {
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  // Not by mmap: a call of the victim that would not be journalled.
  const long at =
      syscall(SYS_mmap, nullptr, sizeof(Journal), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  journal = reinterpret_cast<Journal*>(at);
  return at != -1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 || !map_journal(argv[1])) return 2;
  journal->text_start = word(&__executable_start);
  journal->text_end = word(&etext);
  Self self{};
  take_part(self, new_actor(), journal->seed, false);
  __atomic_store_n(&journal->started, 1, __ATOMIC_RELEASE);
  syscall(SYS_futex, &journal->started, FUTEX_WAKE, 1);
  constexpr unsigned kMostThreads = 32;
  const unsigned threads = journal->threads < kMostThreads ? journal->threads : kMostThreads;
  pthread_t running[kMostThreads];
  for (unsigned i = 0; i < threads; ++i) running[i] = start_thread(self);
  for (unsigned i = 0;; ++i) {
    work(self, 200);
    if (!threads || is_journal_full()) continue;
    pthread_join(running[i % threads], nullptr);
    running[i % threads] = start_thread(self);
  }
}
