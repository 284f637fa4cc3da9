// SPDX-License-Identifier: MIT
//
// See vdso.h. Everything that names the function (headers, dynamic section, symbols, names) lies in
// the object's first page: that page is proven readable, and nothing outside of it is looked at.
#include "shim/sys/vdso.h"

#include <elf.h>

#include "shim/sys/auxv.h"
#include "shim/sys/seccomp.h"
#include "shim/sys/sys.h"

namespace ovcshim::sys {
namespace {

constexpr uint64_t kPage = 4096;
#if defined(__x86_64__)
constexpr char kName[] = "__vdso_clock_gettime";
#else
constexpr char kName[] = "__kernel_clock_gettime";
#endif

struct Time {
  long sec, nsec;
};
using ClockFunction = int(long clock, Time* to);
constinit ClockFunction* function = nullptr;
constinit uint64_t vdso_start = 0, vdso_end = 0;

struct Tables {
  uint64_t names = 0, names_bytes = 0, symbols = 0;
};

// The page as the object's headers see it.
struct Page {
  uint64_t start;
  template <typename T>
  const T* at(uint64_t offset, uint64_t count = 1) const {
    const bool inside = offset < kPage && count <= (kPage - offset) / sizeof(T);
    return inside ? reinterpret_cast<const T*>(start + offset) : nullptr;
  }
};

Tables tables_of(const Page& page, const Elf64_Phdr& dynamic) {
  Tables t;
  const uint64_t count = dynamic.p_filesz / sizeof(Elf64_Dyn);
  auto* entry = page.at<Elf64_Dyn>(dynamic.p_offset, count);
  for (uint64_t i = 0; entry && i < count && entry[i].d_tag != DT_NULL; ++i) {
    const uint64_t value = entry[i].d_un.d_val;
    if (entry[i].d_tag == DT_STRTAB) t.names = value;
    if (entry[i].d_tag == DT_STRSZ) t.names_bytes = value;
    if (entry[i].d_tag == DT_SYMTAB) t.symbols = value;
  }
  return t;
}

// The names follow the symbols, as every linker lays them out; else nothing is found.
uint64_t find_symbol(const Page& page, const Tables& t) {
  auto* names = page.at<char>(t.names, t.names_bytes);
  const uint64_t count = t.names > t.symbols ? (t.names - t.symbols) / sizeof(Elf64_Sym) : 0;
  auto* symbols = page.at<Elf64_Sym>(t.symbols, count);
  for (uint64_t i = 0; names && symbols && i < count; ++i) {
    const Elf64_Sym& symbol = symbols[i];
    const bool fits =
        symbol.st_name < t.names_bytes && sizeof kName <= t.names_bytes - symbol.st_name;
    if (fits && symbol.st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbol.st_info) == STT_FUNC &&
        equal(names + symbol.st_name, kName, sizeof kName))
      return symbol.st_value;
  }
  return 0;
}

uint64_t find_function(const Page& page, uint64_t& bytes) {
  auto* elf = page.at<Elf64_Ehdr>(0);
  if (!equal(reinterpret_cast<const char*>(elf->e_ident), ELFMAG, SELFMAG)) return 0;
  auto* headers = page.at<Elf64_Phdr>(elf->e_phoff, elf->e_phnum);
  uint64_t found = 0;
  for (unsigned i = 0; headers && i < elf->e_phnum; ++i) {
    const Elf64_Phdr& h = headers[i];
    // linked to address 0, as it lies in the file: what the offsets above rely on
    if (h.p_type == PT_LOAD && (h.p_offset != 0 || h.p_vaddr != 0 || bytes != 0)) return 0;
    if (h.p_type == PT_LOAD) bytes = h.p_memsz;
    if (h.p_type == PT_DYNAMIC) found = find_symbol(page, tables_of(page, h));
  }
  return found < bytes ? found : 0;
}

}  // namespace

void find_vdso(const uint64_t* auxv, bool (*proven)(uint64_t)) {
  const Page page{auxv_value(auxv, AT_SYSINFO_EHDR)};
  if (!page.start || page.start % kPage ||
      !((proven && proven(page.start)) || readable(reinterpret_cast<const void*>(page.start))))
    return;
  uint64_t bytes = 0;
  const uint64_t offset = find_function(page, bytes);
  if (!offset) return;
  vdso_start = page.start;
  vdso_end = page.start + bytes;
  __atomic_store_n(&function, reinterpret_cast<ClockFunction*>(page.start + offset),
                   __ATOMIC_RELAXED);
}

void forget_vdso(uint64_t start, uint64_t end) {
  if (start < vdso_end && end > vdso_start)
    __atomic_store_n(&function, static_cast<ClockFunction*>(nullptr), __ATOMIC_RELAXED);
}

uint64_t clock_ns(long clock) {
  Time t{};
  auto* read = is_without_tsc() ? nullptr : __atomic_load_n(&function, __ATOMIC_RELAXED);
  if (!read || read(clock, &t) != 0) call(__NR_clock_gettime, clock, reinterpret_cast<long>(&t));
  return static_cast<uint64_t>(t.sec) * 1000000000u + static_cast<uint64_t>(t.nsec);
}

}  // namespace ovcshim::sys
