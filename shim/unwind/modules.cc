// SPDX-License-Identifier: MIT
//
// Builds the module table from the list of mappings. An object is a run of mappings of one file
// that begins at file offset 0 and lies inside the extent its program headers claim; only runs with
// an executable mapping are kept. Rules in this file: those of modules.h. What a header says is
// believed only as far as it stays inside mapped lines, and is never used as an address to read
// directly.
#include "shim/unwind/modules.h"

#include <elf.h>

#include "shim/proc/proc_file.h"
#include "shim/sys/sys.h"
#include "shim/unwind/memory.h"

namespace ovcshim {
namespace {

constexpr char kDeleted[] = " (deleted)";
constexpr size_t kDeletedLen = sizeof(kDeleted) - 1;
constexpr char kVdso[] = "[vdso]";
constexpr size_t kPathRoom =
    sizeof(Module::path) + kDeletedLen;  // so that a cut path cannot end inside the suffix
constexpr unsigned kMaxReads =
    1u << 18;  // a descriptor that another thread replaced must not keep us for ever
constexpr unsigned kMaxHeaders = 256;  // program headers looked at
constexpr uint64_t kMaxHeaderOffset = 1u << 20;
constexpr uint64_t kMaxNoteBytes = 4096;
constexpr unsigned kMaxNotes = 32;
constexpr uint64_t kPageMask = 4095;

// The text of the list, one character at a time, so that lines may have any length.
struct MapsText {
  MapsText(ProcFile* source, char* io, size_t bytes) : file(source), buffer(io), room(bytes) {}
  explicit MapsText(const char* line) : len(sys::length(line)), buffer(const_cast<char*>(line)) {}

  ProcFile* file = nullptr;
  unsigned reads = 0;
  bool failed = false;
  size_t at = 0, len = 0;
  char* buffer;
  size_t room = 0;

  bool refill() {
    if (!file) return false;
    long got = ++reads > kMaxReads ? -1 : file->read_list(buffer, room);
    failed = got < 0;
    at = 0;
    len = got > 0 ? static_cast<size_t>(got) : 0;
    return len > 0;
  }
  int next() {  // -1 at the end
    if (at == len && !refill()) return -1;
    return static_cast<unsigned char>(buffer[at++]);
  }
};

}  // namespace

struct MapsLine {
  uint64_t start, end, offset, device, inode;
  bool executable, written_by_all;  // the latter: a shared mapping that can be written to
  size_t path_len;  // as the kernel gave it; only the first kPathRoom bytes are kept
  char path[kPathRoom];
};

namespace {

using Line = MapsLine;
using Draft = ModuleDraft;

unsigned digit(int c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  return 16;
}

// Reads a number and the one character behind it, which must be `stop`.
bool number(MapsText& text, unsigned base, int stop, uint64_t& value) {
  value = 0;
  int c = text.next();
  for (; digit(c) < base; c = text.next()) value = value * base + digit(c);
  return c == stop;
}

bool permissions(MapsText& text, Line& line) {
  text.next();
  const bool written = text.next() == 'w';
  line.executable = text.next() == 'x';
  line.written_by_all = text.next() == 's' && written;
  return text.next() == ' ';
}

// An inode is followed by blanks and a path, or by the end of the line at once in some kernels.
void inode_and_path(MapsText& text, Line& line) {
  line.inode = 0;
  line.path_len = 0;
  int c = text.next();
  for (; digit(c) < 10; c = text.next()) line.inode = line.inode * 10 + digit(c);
  while (c == ' ') c = text.next();
  for (; c >= 0 && c != '\n'; c = text.next()) {
    if (line.path_len < kPathRoom) line.path[line.path_len] = static_cast<char>(c);
    ++line.path_len;
  }
}

// False at the end of the list or where it is not understood: the format has been the same since
// Linux 2.6.
bool read_line(MapsText& text, Line& line) {
  uint64_t major, minor;
  if (!number(text, 16, '-', line.start) || !number(text, 16, ' ', line.end)) return false;
  if (!permissions(text, line) || !number(text, 16, ' ', line.offset)) return false;
  if (!number(text, 16, ':', major) || !number(text, 16, ' ', minor)) return false;
  line.device = major << 32 | minor;
  inode_and_path(text, line);
  return line.end > line.start;
}

void take_path(const Line& line, Module& module) {
  size_t len = line.path_len;
  if (len > kDeletedLen && len <= kPathRoom &&
      sys::equal(line.path + len - kDeletedLen, kDeleted, kDeletedLen))
    len -= kDeletedLen;
  if (len > sizeof module.path) len = sizeof module.path;
  sys::copy(module.path, line.path, len);
  module.path_len = static_cast<uint16_t>(len);
}

bool is_vdso(const Line& line) {
  return line.path_len == sizeof kVdso - 1 && sys::equal(line.path, kVdso, sizeof kVdso - 1);
}

void begin(Draft& draft, const Line& line) {
  sys::zero(&draft, sizeof draft);
  draft.module.start = line.start;
  draft.module.end = line.end;
  draft.device = line.device;
  draft.inode = draft.module.inode = line.inode;
  bool headers_may_be_here =
      line.offset == 0 && !line.written_by_all && (line.inode != 0 || is_vdso(line));
  draft.content = headers_may_be_here ? Draft::Content::kUnread : Draft::Content::kOther;
  take_path(line, draft.module);
}

constexpr uint64_t round_up(uint64_t value, uint64_t align) {
  return (value + align - 1) & ~(align - 1);
}

bool is_build_id(const Elf64_Nhdr& note, uint64_t name_at) {
  char name[4];
  return note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && note.n_descsz > 0 &&
         copy_memory(name, name_at, 4) && sys::equal(name, "GNU", 4);
}

void read_build_id(Module& module, uint64_t at, uint64_t bytes, uint64_t align) {
  Elf64_Nhdr note;
  uint64_t used = 0;
  for (unsigned n = 0; n < kMaxNotes && used + sizeof note <= bytes && used < kMaxNoteBytes; ++n) {
    if (!copy_memory(&note, at + used, sizeof note)) return;
    uint64_t desc = round_up(used + sizeof note + note.n_namesz, align);
    if (is_build_id(note, at + used + sizeof note)) {
      size_t len = note.n_descsz < sizeof module.build_id ? note.n_descsz : sizeof module.build_id;
      if (copy_memory(module.build_id, at + desc, len))
        module.build_id_len = static_cast<uint16_t>(len);
      return;
    }
    used = round_up(desc + note.n_descsz, align);
  }
}

bool read_elf_header(uint64_t at, Elf64_Ehdr& header) {
  return copy_memory(&header, at, sizeof header) &&
         sys::equal(reinterpret_cast<char*>(header.e_ident), ELFMAG, SELFMAG) &&
         header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_ident[EI_DATA] == ELFDATA2LSB &&
         header.e_phentsize == sizeof(Elf64_Phdr) && header.e_phoff <= kMaxHeaderOffset;
}

// Calls visit(program header) for each, a few at a time for the stack's sake. False if one could
// not be read.
template <class Visit>
bool each_header(uint64_t start, const Elf64_Ehdr& elf, Visit visit) {
  constexpr unsigned kAtOnce = 4;
  Elf64_Phdr headers[kAtOnce];
  unsigned total = elf.e_phnum < kMaxHeaders ? elf.e_phnum : kMaxHeaders;
  for (unsigned done = 0; done < total; done += kAtOnce) {
    unsigned n = total - done < kAtOnce ? total - done : kAtOnce;
    uint64_t at = start + elf.e_phoff + done * sizeof(Elf64_Phdr);
    if (!copy_memory(headers, at, n * sizeof(Elf64_Phdr))) return false;
    for (unsigned i = 0; i < n; ++i) visit(headers[i]);
  }
  return true;
}

// The bias comes first: it is the PT_LOAD lowest in the file that the mapping of offset 0 belongs
// to.
bool read_loads(Draft& draft, const Elf64_Ehdr& elf) {
  uint64_t lowest_offset = UINT64_MAX, highest = 0;
  Module& module = draft.module;
  bool read = each_header(module.start, elf, [&](const Elf64_Phdr& header) {
    if (header.p_type != PT_LOAD) return;
    if (header.p_offset < lowest_offset) {
      lowest_offset = header.p_offset;
      module.bias = module.start + header.p_offset - header.p_vaddr;
    }
    if (header.p_vaddr + header.p_memsz > highest) highest = header.p_vaddr + header.p_memsz;
  });
  draft.extent_end = round_up(module.bias + highest, kPageMask + 1);
  return read && draft.extent_end > module.start;
}

void read_details(Draft& draft, const Elf64_Ehdr& elf) {
  Module& module = draft.module;
  each_header(module.start, elf, [&](const Elf64_Phdr& header) {
    uint64_t at = module.bias + header.p_vaddr;
    if (at < module.start || at >= draft.extent_end || header.p_memsz > draft.extent_end - at)
      return;
    if (header.p_type == PT_NOTE && module.build_id_len == 0) {
      read_build_id(module, at, header.p_memsz, header.p_align == 8 ? 8 : 4);
    } else if (header.p_type == PT_GNU_EH_FRAME && header.p_memsz <= UINT32_MAX) {
      module.eh_frame_hdr = at;
      module.eh_frame_hdr_bytes = static_cast<uint32_t>(header.p_memsz);
    }
  });
}

// Looks at the start of the object, once and only when somebody needs to know.
[[gnu::noinline]] bool is_elf(Draft& draft) {
  if (draft.content == Draft::Content::kUnread) {
    Elf64_Ehdr elf;
    bool good = read_elf_header(draft.module.start, elf) && read_loads(draft, elf);
    if (good) read_details(draft, elf);
    draft.content = good ? Draft::Content::kElf : Draft::Content::kOther;
  }
  return draft.content == Draft::Content::kElf;
}

// A further mapping of the object: same file, or memory without a file right behind it (.bss, or
// text that was moved to huge pages). File offset 0 proves no new object: linkers map the first
// page of a small file more than once.
bool belongs(Draft& draft, const Line& line) {
  bool same_file = line.inode != 0 && line.inode == draft.inode && line.device == draft.device;
  bool adjacent = line.inode == 0 && line.path_len == 0 && line.start == draft.module.end;
  return (same_file || adjacent) && is_elf(draft) && line.start < draft.extent_end;
}

void extend(Draft& draft, const Line& line) {
  Module& module = draft.module;
  uint64_t end = line.end < draft.extent_end || line.inode != 0
                     ? line.end
                     : draft.extent_end;  // a heap may follow the .bss
  if (end > module.end) module.end = end;
  if (!line.executable) return;
  if (module.text_end == 0) module.text_start = line.start;
  module.text_end = end;
}

}  // namespace

ModuleCollector::ModuleCollector(ModuleTable& table) : table_(table) {
  table_.count = table_.cut = 0;
  sys::zero(&draft_, sizeof draft_);
  draft_.content = Draft::Content::kOther;
}

// Beyond kMaxModules the first (the program) and the last ones stay: address space is given out
// downwards, so the objects that every stack passes, libc and ld.so, are the highest.
void ModuleCollector::add() {
  if (draft_.module.text_end == 0) return;
  unsigned long slot = seen_ < kMaxModules ? seen_ : 1 + (seen_ - 1) % (kMaxModules - 1);
  sys::copy(&table_.modules[slot], &draft_.module, sizeof(Module));
  ++seen_;
}

bool ModuleCollector::take(const MapsLine& line) {
  if (!belongs(draft_, line)) {
    if (line.start == kVsyscall) return false;
    if (line.inode == 0 && !is_vdso(line)) return true;
    add();
    begin(draft_, line);
  }
  if (line.executable ? is_elf(draft_) : draft_.content == Draft::Content::kElf)
    extend(draft_, line);
  return true;
}

[[gnu::noinline]] void ModuleCollector::take(const char* text) {
  MapsText source(text);
  MapsLine line;
  if (read_line(source, line)) take(line);
}

void ModuleCollector::reverse(Module* first, Module* last) {
  Module kept;
  for (; first < last && first < --last; ++first) {
    sys::copy(&kept, first, sizeof kept);
    sys::copy(first, last, sizeof kept);
    sys::copy(last, &kept, sizeof kept);
  }
}

[[gnu::noinline]] bool ModuleCollector::finish() {
  add();
  table_.cut = seen_ > kMaxModules;
  table_.count = static_cast<unsigned>(table_.cut ? kMaxModules : seen_);
  if (!table_.cut) return seen_ > 0;
  Module* oldest = table_.modules + 1 + (seen_ - 1) % (kMaxModules - 1);
  Module* end = table_.modules + kMaxModules;
  reverse(table_.modules + 1, oldest);
  reverse(oldest, end);
  reverse(table_.modules + 1, end);
  return true;
}

namespace {

void collect(MapsText& text, ModuleCollector& collector) {
  MapsLine line;
  while (read_line(text, line))
    if (!collector.take(line)) break;  // one read less
}

bool read_from(const char* path, ModuleTable& table, char* io, size_t room) {
  ModuleCollector collector(table);
  ProcFile file(path);
  if (!file.ok()) return false;
  MapsText text(&file, io, room);
  collect(text, collector);
  return !text.failed && collector.finish();
}

}  // namespace

// thread-self first: /proc/self lists nothing once the first thread has ended. Before Linux 3.17
// there is only the latter.
bool read_modules(ModuleTable& table, char* io, size_t room) {
  return read_from("/proc/thread-self/maps", table, io, room) ||
         read_from("/proc/self/maps", table, io, room);
}

bool read_modules(ModuleTable& table) {
  char io[1024];
  return read_modules(table, io, sizeof io);
}

const Module* find_module(const ModuleTable& table, uint64_t pc) {
  unsigned low = 0, high = table.count;
  while (low < high) {
    unsigned middle = (low + high) / 2;
    if (table.modules[middle].start <= pc) low = middle + 1;
    else high = middle;
  }
  if (low == 0) return nullptr;
  const Module& module = table.modules[low - 1];
  return pc >= module.text_start && pc < module.text_end ? &module : nullptr;
}

}  // namespace ovcshim
