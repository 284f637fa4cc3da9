// SPDX-License-Identifier: MIT
#include "tools/attach/exported.h"

#include <fcntl.h>
#include <gelf.h>
#include <unistd.h>

#include <algorithm>

namespace ovc {
namespace {

class ElfFile {
 public:
  explicit ElfFile(const std::string& path) : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    elf_version(EV_CURRENT);
    if (fd_ >= 0) elf_ = elf_begin(fd_, ELF_C_READ, nullptr);
  }
  ~ElfFile() {
    if (elf_) elf_end(elf_);
    if (fd_ >= 0) close(fd_);
  }
  ElfFile(const ElfFile&) = delete;
  ElfFile& operator=(const ElfFile&) = delete;

  uint64_t first_address() const {
    uint64_t lowest = UINT64_MAX;
    size_t count = 0;
    if (!elf_ || elf_getphdrnum(elf_, &count) != 0) return lowest;
    for (size_t i = 0; i < count; ++i) {
      GElf_Phdr header;
      if (gelf_getphdr(elf_, static_cast<int>(i), &header) && header.p_type == PT_LOAD)
        lowest = std::min<uint64_t>(lowest, header.p_vaddr & ~uint64_t{4095});
    }
    return lowest;
  }

  uint64_t function(std::string_view name) const {
    Elf_Scn* section = nullptr;
    while (elf_ && (section = elf_nextscn(elf_, section))) {
      GElf_Shdr header;
      if (!gelf_getshdr(section, &header) || header.sh_type != SHT_DYNSYM || !header.sh_entsize)
        continue;
      Elf_Data* data = elf_getdata(section, nullptr);
      for (size_t i = 0; data && i < header.sh_size / header.sh_entsize; ++i) {
        GElf_Sym symbol;
        if (!gelf_getsym(data, static_cast<int>(i), &symbol) || symbol.st_shndx == SHN_UNDEF ||
            GELF_ST_TYPE(symbol.st_info) != STT_FUNC)
          continue;
        const char* own = elf_strptr(elf_, header.sh_link, symbol.st_name);
        if (own && name == own) return symbol.st_value;
      }
    }
    return 0;
  }

 private:
  int fd_;
  Elf* elf_ = nullptr;
};

}  // namespace

uint64_t exported_function(uint32_t pid, const std::vector<MapLine>& lines, std::string_view object,
                           std::string_view function) {
  const MapLine* first = object_named(lines, object);
  const std::string path = first ? reachable_path(pid, *first) : "";
  if (path.empty()) return 0;
  const ElfFile file(path);
  const uint64_t address = file.function(function);
  return address ? first->start - file.first_address() + address : 0;
}

}  // namespace ovc
