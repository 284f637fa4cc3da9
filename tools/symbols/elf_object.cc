// SPDX-License-Identifier: MIT
#include "tools/symbols/elf_object.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <fmt/format.h>
#include <gelf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <utility>

#include "tools/symbols/regular_file.h"

namespace ovc {

// A file, its libelf handle, its debug information and the file that shares parts of it (dwz),
// closed in reverse order.
struct ElfObject::Parts {
  int fd = -1;
  bool trusted = false;  // of root or of our own user
  Elf* elf = nullptr;
  Dwarf* dwarf = nullptr;
  std::unique_ptr<Parts> shared;
  struct Range {
    uint64_t start, end;
    Dwarf_Off unit;
  };
  std::vector<Range> ranges;               // which unit describes an address; ascending
  std::vector<std::string_view> sections;  // of debug information, as libdw has them

  Parts() = default;
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;
  ~Parts() {
    if (dwarf) dwarf_end(dwarf);
    if (elf) elf_end(elf);
    if (fd >= 0) close(fd);
  }
};

namespace {

std::string_view build_id_of(Elf* elf) {
  const void* bytes = nullptr;
  const ssize_t length = dwelf_elf_gnu_build_id(elf, &bytes);
  return length > 0 ? std::string_view(static_cast<const char*>(bytes), static_cast<size_t>(length))
                    : std::string_view{};
}

std::string debug_path(std::string_view build_id) {
  std::string path = "/usr/lib/debug/.build-id/";
  for (size_t i = 0; i < build_id.size(); ++i) {
    if (i == 1) path += '/';
    path += fmt::format("{:02x}", static_cast<unsigned char>(build_id[i]));
  }
  return path + ".debug";
}

constexpr size_t kShortestBuildId = 2, kLongestBuildId = 64;

bool is_same(const struct stat& info, const FileIdentity& file) {
  const auto changed_ns = static_cast<uint64_t>(info.st_ctim.tv_sec) * 1'000'000'000 +
                          static_cast<uint64_t>(info.st_ctim.tv_nsec);
  return file.inode != 0 && info.st_ino == file.inode && changed_ns == file.changed_ns;
}

template <typename Parts>
std::unique_ptr<Parts> open_elf(const std::string& path, struct stat& info,
                                const std::string& root = {}) {
  auto parts = std::make_unique<Parts>();
  parts->fd = open_regular(path, info, root);
  if (parts->fd < 0) return nullptr;
  parts->trusted = root.empty() && (info.st_uid == 0 || info.st_uid == geteuid());
  parts->elf = elf_begin(parts->fd, ELF_C_READ, nullptr);
  return parts->elf && elf_kind(parts->elf) == ELF_K_ELF ? std::move(parts) : nullptr;
}

// The ELF file at `path` if it carries this build id; or, without one, if it is this file.
template <typename Parts>
std::unique_ptr<Parts> open_file(const std::string& path, std::string_view build_id,
                                 const FileIdentity& file = {}, const std::string& root = {}) {
  struct stat info {};
  auto parts = open_elf<Parts>(path, info, root);
  if (!parts || build_id_of(parts->elf) != build_id) return nullptr;
  return !build_id.empty() || is_same(info, file) ? std::move(parts) : nullptr;
}

// Which unit covers which addresses. Own index rather than .debug_aranges, which clang does not
// write.
template <typename Parts>
void index_units(Parts& parts) {
  Dwarf_CU* unit = nullptr;
  Dwarf_Die die{};
  uint8_t type = 0;
  while (dwarf_get_units(parts.dwarf, unit, &unit, nullptr, &type, &die, nullptr) == 0) {
    if (type != DW_UT_compile && type != DW_UT_skeleton) continue;
    Dwarf_Addr base = 0, start = 0, end = 0;
    std::ptrdiff_t offset = 0;
    while ((offset = dwarf_ranges(&die, offset, &base, &start, &end)) > 0)
      if (start < end) parts.ranges.push_back({start, end, dwarf_dieoffset(&die)});
  }
  std::sort(parts.ranges.begin(), parts.ranges.end(),
            [](const auto& a, const auto& b) { return a.start < b.start; });
}

std::string_view section_name(Elf* elf, size_t names, Elf_Scn* section) {
  GElf_Shdr header;
  const char* name =
      gelf_getshdr(section, &header) ? elf_strptr(elf, names, header.sh_name) : nullptr;
  return name ? name : "";
}

// Where libdw's strings point to: it does not see that one has no end (DW_FORM_string at the end of
// .debug_info, in 0.188).
template <typename Parts>
void note_sections(Parts& parts) {
  size_t names = 0;
  if (elf_getshdrstrndx(parts.elf, &names) != 0) return;
  for (Elf_Scn* section = elf_nextscn(parts.elf, nullptr); section;
       section = elf_nextscn(parts.elf, section)) {
    if (!section_name(parts.elf, names, section).starts_with(".debug_")) continue;
    const Elf_Data* data = elf_getdata(section, nullptr);
    if (data && data->d_buf)
      parts.sections.emplace_back(static_cast<const char*>(data->d_buf), data->d_size);
  }
}

// libdw 0.188 measures a name in these without a look at the section's end (dwarf_getsrclines,
// DW_FORM_line_strp).
template <typename Parts>
bool has_endless_strings(const Parts& parts) {
  size_t names = 0;
  if (elf_getshdrstrndx(parts.elf, &names) != 0) return true;
  for (Elf_Scn* section = elf_nextscn(parts.elf, nullptr); section;
       section = elf_nextscn(parts.elf, section)) {
    const std::string_view name = section_name(parts.elf, names, section);
    if (name.find("debug_str") == name.npos && name.find("debug_line_str") == name.npos) continue;
    const Elf_Data* data = elf_getdata(section, nullptr);
    const auto* bytes = data ? static_cast<const char*>(data->d_buf) : nullptr;
    if (!name.ends_with("_offsets") && bytes && data->d_size > 0 && bytes[data->d_size - 1] != '\0')
      return true;
  }
  return false;
}

// Debug information of this file, if all of it is at hand. libdw would look for a missing shared
// part (dwz) by a path that the file names; it is given here by build id, or the debug information
// is left unused.
template <typename Parts>
bool read_dwarf(Parts& parts) {
  if (!parts.trusted) return false;
  parts.dwarf = dwarf_begin_elf(parts.elf, DWARF_C_READ, nullptr);
  if (!parts.dwarf) return false;
  const char* name = nullptr;
  const void* id = nullptr;
  const ssize_t length = dwelf_dwarf_gnu_debugaltlink(parts.dwarf, &name, &id);
  bool complete = length <= 0;
  if (has_endless_strings(parts)) {
    complete = false;
  } else if (!complete) {
    const std::string_view build_id(static_cast<const char*>(id), static_cast<size_t>(length));
    parts.shared = open_file<Parts>(debug_path(build_id), build_id);
    complete = parts.shared &&
               (parts.shared->dwarf = dwarf_begin_elf(parts.shared->elf, DWARF_C_READ, nullptr)) &&
               !has_endless_strings(*parts.shared);
    if (complete) dwarf_setalt(parts.dwarf, parts.shared->dwarf), note_sections(*parts.shared);
  }
  note_sections(parts);
  if (complete) index_units(parts);
  if (!parts.ranges.empty()) return true;
  dwarf_end(parts.dwarf);
  parts.dwarf = nullptr;
  return false;
}

bool has_debug_info(Elf* elf) {
  size_t names = 0;
  if (elf_getshdrstrndx(elf, &names) != 0) return false;
  for (Elf_Scn* section = elf_nextscn(elf, nullptr); section; section = elf_nextscn(elf, section)) {
    const std::string_view name = section_name(elf, names, section);
    if (name == ".debug_info" || name == ".zdebug_info") return true;
  }
  return false;
}

// Global functions before local ones, real names before those with leading underscores:
// __GI___libc_malloc is malloc.
uint32_t rank_of(const GElf_Sym& symbol, std::string_view name) {
  const auto underscores = std::min<size_t>(name.find_first_not_of('_'), 9);
  const auto binding = GELF_ST_BIND(symbol.st_info);
  return (binding == STB_GLOBAL ? 20u
          : binding == STB_WEAK ? 19u
                                : 0u) +
         9u - static_cast<uint32_t>(underscores);
}

// One without an end in its section is none. What lies in no section libdw has put together itself.
template <typename Parts>
std::string text_of(const Parts& parts, const char* text) {
  if (!text) return "";
  for (const Parts* file = &parts; file; file = file->shared.get())
    for (const std::string_view section : file->sections)
      if (text >= section.begin() && text < section.end()) {
        const std::string_view rest(text, static_cast<size_t>(section.end() - text));
        const size_t length = rest.find('\0');
        return length == rest.npos ? "" : std::string(rest.substr(0, length));
      }
  return text;
}

template <typename Parts>
std::string attribute_text(const Parts& parts, Dwarf_Die* die, unsigned name) {
  Dwarf_Attribute attribute{};
  return text_of(parts, dwarf_formstring(dwarf_attr_integrate(die, name, &attribute)));
}

template <typename Parts>
std::string function_name(const Parts& parts, Dwarf_Die* die) {
  std::string name = attribute_text(parts, die, DW_AT_linkage_name);
  if (name.empty()) name = attribute_text(parts, die, DW_AT_MIPS_linkage_name);
  return name.empty() ? attribute_text(parts, die, DW_AT_name) : name;
}

unsigned number(Dwarf_Die* die, unsigned name) {
  Dwarf_Attribute attribute{};
  Dwarf_Word value = 0;
  return dwarf_formudata(dwarf_attr(die, name, &attribute), &value) == 0
             ? static_cast<unsigned>(value)
             : 0;
}

template <typename Parts>
std::string file_by_number(const Parts& parts, Dwarf_Die* unit, unsigned index) {
  Dwarf_Files* files = nullptr;
  size_t count = 0;
  if (dwarf_getsrcfiles(unit, &files, &count) != 0 || index >= count) return "";
  return text_of(parts, dwarf_filesrc(files, index, nullptr, nullptr));
}

template <typename Parts>
void innermost_line(const Parts& parts, Dwarf_Die* unit, uint64_t address, SourceFrame& frame) {
  Dwarf_Line* line = dwarf_getsrc_die(unit, address);
  if (!line) return;
  int number = 0;
  frame.file = text_of(parts, dwarf_linesrc(line, nullptr, nullptr));
  if (dwarf_lineno(line, &number) == 0 && number > 0) frame.line = static_cast<unsigned>(number);
}

}  // namespace

ElfObject::ElfObject() = default;
ElfObject::~ElfObject() = default;

std::string ElfObject::build_id(const std::string& path) {
  elf_version(EV_CURRENT);
  struct stat info {};
  const auto parts = open_elf<Parts>(path, info);
  return parts ? std::string(build_id_of(parts->elf)) : "";
}

std::unique_ptr<ElfObject> ElfObject::open(const std::string& path, std::string_view build_id,
                                           const FileIdentity& file, const std::string& root) {
  const bool has_id = !build_id.empty();
  if (has_id ? build_id.size() < kShortestBuildId || build_id.size() > kLongestBuildId
             : file.inode == 0)
    return nullptr;
  elf_version(EV_CURRENT);
  std::unique_ptr<ElfObject> object(new ElfObject);
  object->own_ = open_file<Parts>(path, build_id, file, root);
  if (has_id && (!object->own_ || !has_debug_info(object->own_->elf)))
    object->debug_ = open_file<Parts>(debug_path(build_id), build_id);
  if (!object->own_ && !object->debug_) return nullptr;
  for (Parts* parts : {object->own_.get(), object->debug_.get()})
    if (parts) object->read_symbols(*parts);
  auto& symbols = object->symbols_;
  std::stable_sort(symbols.begin(), symbols.end(), [](const Symbol& a, const Symbol& b) {
    return a.start != b.start ? a.start < b.start : a.rank > b.rank;
  });
  symbols.erase(std::unique(symbols.begin(), symbols.end(),
                            [](const Symbol& a, const Symbol& b) { return a.start == b.start; }),
                symbols.end());
  return object;
}

// One table of each kind, as the ABI has it: those of a hostile file may be thousands, each the
// whole file.
void ElfObject::read_symbols(Parts& parts) {
  bool seen[SHT_DYNSYM + 1]{};
  for (Elf_Scn* section = elf_nextscn(parts.elf, nullptr); section;
       section = elf_nextscn(parts.elf, section)) {
    GElf_Shdr header;
    if (!gelf_getshdr(section, &header) ||
        (header.sh_type != SHT_SYMTAB && header.sh_type != SHT_DYNSYM))
      continue;
    Elf_Data* data =
        std::exchange(seen[header.sh_type], true) ? nullptr : elf_getdata(section, nullptr);
    if (!data) continue;
    GElf_Sym symbol;
    for (int i = 0; gelf_getsym(data, i, &symbol); ++i) {
      const auto type = GELF_ST_TYPE(symbol.st_info);
      if ((type != STT_FUNC && type != STT_GNU_IFUNC) || symbol.st_shndx == SHN_UNDEF ||
          symbol.st_value == 0)
        continue;
      const char* name = elf_strptr(parts.elf, header.sh_link, symbol.st_name);
      if (name && *name)
        symbols_.push_back({symbol.st_value, symbol.st_size, rank_of(symbol, name), name});
    }
  }
}

bool ElfObject::defines(std::string_view name) const {
  return std::any_of(symbols_.begin(), symbols_.end(),
                     [name](const Symbol& symbol) { return name == symbol.name; });
}

const ElfObject::Symbol* ElfObject::symbol_at(uint64_t address) const {
  auto next = std::upper_bound(symbols_.begin(), symbols_.end(), address,
                               [](uint64_t a, const Symbol& s) { return a < s.start; });
  // Hand-written code often has no size: it goes on up to the next symbol. A few steps back, for
  // symbols inside others.
  for (int steps = 0; steps < 8 && next != symbols_.begin(); ++steps) {
    const Symbol& symbol = *--next;
    if (address - symbol.start < symbol.size || (symbol.size == 0 && steps == 0)) return &symbol;
  }
  return nullptr;
}

const ElfBytes& ElfObject::bytes() const {
  if (!bytes_) bytes_ = std::make_unique<ElfBytes>(own_->elf);
  return *bytes_;
}

const MethodNames::Method* ElfObject::method_at(uint64_t address) const {
  if (!own_) return nullptr;
  if (!methods_) methods_ = std::make_unique<MethodNames>(own_->elf, bytes());
  return methods_->at(address);
}

std::optional<MessageNames::Function> ElfObject::messenger_at(uint64_t address,
                                                              std::string_view file_name) const {
  if (!own_) return std::nullopt;
  if (!messages_) messages_ = std::make_unique<MessageNames>(own_->elf, bytes(), file_name);
  return messages_->at(address);
}

// Read when first asked for: libdw decompresses all of it at once, 60 ms for Debian's libc6-dbg.
ElfObject::Parts* ElfObject::described() const {
  if (described_) return *described_;
  described_ = nullptr;
  for (Parts* parts : {own_.get(), debug_.get()})
    if (parts && !*described_ && read_dwarf(*parts)) described_ = parts;
  return *described_;
}

std::vector<SourceFrame> ElfObject::source_at(uint64_t address) const {
  std::vector<SourceFrame> frames;
  const Parts* parts = described();
  if (!parts) return frames;
  auto next = std::upper_bound(parts->ranges.begin(), parts->ranges.end(), address,
                               [](uint64_t a, const Parts::Range& r) { return a < r.start; });
  if (next == parts->ranges.begin() || address >= (--next)->end) return frames;
  Dwarf_Die unit{};
  if (!dwarf_offdie(parts->dwarf, next->unit, &unit)) return frames;
  Dwarf_Die* inner = nullptr;
  Dwarf_Die* scopes = nullptr;
  // The first list goes from an inlined function on to its definition; the second, from the
  // innermost DIE on to its callers.
  const int found = dwarf_getscopes(&unit, address, &inner);
  const int count = found > 0 ? dwarf_getscopes_die(&inner[0], &scopes) : 0;
  SourceFrame frame;
  innermost_line(*parts, &unit, address, frame);
  for (int i = 0; i < count; ++i) {
    const int tag = dwarf_tag(&scopes[i]);
    if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram) continue;
    frame.function = function_name(*parts, &scopes[i]);
    frame.inlined = tag == DW_TAG_inlined_subroutine;
    frames.push_back(frame);
    if (!frame.inlined) break;
    frame = {"", file_by_number(*parts, &unit, number(&scopes[i], DW_AT_call_file)),
             number(&scopes[i], DW_AT_call_line), false};
  }
  std::free(inner);
  std::free(scopes);
  return frames;
}

bool ElfObject::has_bytes(uint64_t address, std::string_view bytes_there) const {
  return own_ && bytes().at(address).starts_with(bytes_there);
}

}  // namespace ovc
