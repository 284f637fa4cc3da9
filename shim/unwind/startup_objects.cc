// SPDX-License-Identifier: MIT
//
// The loader appends to its list what dlopen brings (elf/dl-object.c _dl_add_to_namespace_list());
// its own entry is put among those of the start (elf/rtld.c dl_main(): where the first object that
// needs it has it). So all up to and including the loader's own entry were there at the start, and
// are never unloaded. Of those behind it nothing is certain, for a constructor that ran before ours
// may have called dlopen: they are read by copy.
#include "shim/unwind/startup_objects.h"

#include <elf.h>
#include <link.h>

#include "shim/sys/auxv.h"
#include "shim/sys/sys.h"
#include "shim/unwind/memory.h"
#include "shim/unwind/modules.h"

#pragma weak _r_debug

namespace ovcshim {
namespace {

constexpr uint64_t kPageMask = 4095;
constinit const link_map* last_entry = nullptr;

// Null if `at` does not begin an object with its headers in that page.
const Elf64_Ehdr* object_at(uint64_t at) {
  auto* elf = reinterpret_cast<const Elf64_Ehdr*>(at);
  const bool in_first_page = elf->e_phentsize == sizeof(Elf64_Phdr) && elf->e_phoff <= kPageMask &&
                             elf->e_phnum * sizeof(Elf64_Phdr) <= kPageMask - elf->e_phoff;
  return sys::equal(reinterpret_cast<const char*>(elf->e_ident), ELFMAG, SELFMAG) && in_first_page
             ? elf
             : nullptr;
}

// In pages.
Extent segment(const Elf64_Phdr& header) {
  return {header.p_vaddr & ~kPageMask, (header.p_vaddr + header.p_memsz + kPageMask) & ~kPageMask};
}

// Of a program at a fixed address the list has 0; its headers begin its first page.
uint64_t program_start(const uint64_t* auxv) {
  return auxv ? auxv_value(auxv, AT_PHDR) & ~kPageMask : 0;
}

// Where objects may begin, in ascending order.
class Heads {
 public:
  void add(uint64_t at) {
    if (!at || at & kPageMask || count_ == kMaxModules) return;
    unsigned place = count_++;
    for (; place > 0 && list_[place - 1] > at; --place) list_[place] = list_[place - 1];
    list_[place] = at;
  }
  // visit(head) for each whose page can be read: a few at a time by one system call. The bytes that
  // come back are proof that it was the kernel that answered.
  template <class Visit>
  void each_readable(long pid, Visit visit) const {
    for (unsigned i = 0; i < count_; i += kAtOnce) {
      const unsigned n = count_ - i < kAtOnce ? count_ - i : kAtOnce;
      const bool all = all_begin_objects(pid, list_ + i, n);
      for (unsigned k = i; k < i + n; ++k)
        if (all || sys::readable(reinterpret_cast<const void*>(list_[k]))) visit(list_[k]);
    }
  }

 private:
  static constexpr unsigned kAtOnce = 32;
  static bool all_begin_objects(long pid, const uint64_t* heads, unsigned n) {
    struct Part {
      uint64_t at, bytes;
    } remote[kAtOnce];
    char magic[kAtOnce * SELFMAG]{};
    for (unsigned i = 0; i < n; ++i) remote[i] = {heads[i], SELFMAG};
    const Part local{reinterpret_cast<uint64_t>(magic), sizeof magic};
    sys::call(__NR_process_vm_readv, pid, reinterpret_cast<long>(&local), 1,
              reinterpret_cast<long>(remote), n, 0);
    bool all = true;
    for (unsigned i = 0; i < n; ++i) all &= sys::equal(magic + i * SELFMAG, ELFMAG, SELFMAG);
    return all;
  }
  unsigned count_ = 0;
  uint64_t list_[kMaxModules];
};

bool is_loader(const link_map& object) {
  return _r_debug.r_ldbase != 0 && object.l_addr == _r_debug.r_ldbase;
}

bool reaches_loader() {
  unsigned n = 0;
  for (const link_map* object = _r_debug.r_map; object && n < kMaxModules; object = object->l_next)
    if (++n, is_loader(*object)) return true;
  return false;
}

}  // namespace

// The headers of segments are in ascending order (gABI, chapter 5); others end the list.
unsigned parts_of(uint64_t head, Extent* parts, unsigned room) {
  const Elf64_Ehdr* elf = object_at(head);
  if (!elf) return 0;
  auto* headers = reinterpret_cast<const Elf64_Phdr*>(head + elf->e_phoff);
  unsigned n = 0;
  uint64_t bias = 0;
  for (unsigned i = 0; i < elf->e_phnum; ++i) {
    if (headers[i].p_type != PT_LOAD || headers[i].p_memsz == 0) continue;
    const Extent it = segment(headers[i]);
    if (n == 0) bias = head - it.start;
    const Extent there{bias + it.start, bias + it.end};
    if (there.end <= there.start || (n > 0 && there.start < parts[n - 1].start)) break;
    if (n > 0 && there.start <= parts[n - 1].end) {
      if (there.end > parts[n - 1].end) parts[n - 1].end = there.end;
    } else if (n < room) {
      parts[n++] = there;
    } else {
      break;
    }
  }
  return n;
}

uint64_t last_startup_entry() { return reinterpret_cast<uint64_t>(last_entry); }

void keep_startup_objects(const uint64_t* auxv, long pid) {
  if (!&_r_debug || !reaches_loader()) return;
  Heads heads;
  for (const link_map* object = _r_debug.r_map; object; object = object->l_next) {
    heads.add(object->l_addr ? object->l_addr : program_start(auxv));
    if (is_loader(*object)) {
      last_entry = object;
      break;
    }
  }
  if (auxv) heads.add(auxv_value(auxv, AT_SYSINFO_EHDR));
  heads.each_readable(pid, [](uint64_t head) {
    constexpr unsigned kMostParts = 8;
    Extent parts[kMostParts];
    const unsigned n = parts_of(head, parts, kMostParts);
    for (unsigned i = 0; i < n; ++i) keep_object(parts[i].start, parts[i].end, i == 0);
  });
}

}  // namespace ovcshim
