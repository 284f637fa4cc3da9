// SPDX-License-Identifier: MIT
#include "tools/symbols/executable.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string_view>
#include <vector>

#include "tools/log/kernel_numbers.h"
#include "tools/symbols/elf_bytes.h"

namespace ovc {
namespace {

constexpr size_t kHeadBytes = 16384;  // program headers and the loader's name stand at the front
constexpr unsigned kInterpreters = 4;

struct File {
  std::string head;
  struct stat info {};
};

// Looks before opening: opening a device can do anything, and the log's author chose the name.
std::optional<File> read_head(const std::string& path) {
  File file;
  if (stat(path.c_str(), &file.info) != 0 || !S_ISREG(file.info.st_mode)) return {};
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return {};
  std::optional<File> result;
  if (fstat(fd, &file.info) == 0 && S_ISREG(file.info.st_mode)) {
    file.head.resize(kHeadBytes);
    const ssize_t got = pread(fd, file.head.data(), kHeadBytes, 0);
    file.head.resize(got > 0 ? static_cast<size_t>(got) : 0);
    if (got > 0) result = std::move(file);
  }
  close(fd);
  return result;
}

std::string interpreter_of_script(std::string_view head) {
  const std::string_view line = head.substr(2, head.find('\n') - 2);
  const size_t start = line.find_first_not_of(" \t");
  if (start == line.npos) return "";
  return std::string(line.substr(start, line.find_first_of(" \t", start) - start));
}

std::string why_not_by_loader(std::string_view head) {
  const auto header = load<Elf64_Ehdr>(head, 0);
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    const auto part = load<Elf64_Phdr>(head, header.e_phoff + uint64_t{i} * header.e_phentsize);
    if (part.p_type != PT_INTERP) continue;
    std::string_view loader =
        head.substr(std::min<uint64_t>(part.p_offset, head.size()), part.p_filesz);
    loader = loader.substr(0, loader.find('\0'));
    const std::string_view name = loader.substr(loader.rfind('/') + 1);
    if (name.starts_with("ld-linux") || name.starts_with("ld-musl")) return "";
    return fmt::format("its loader is {}, neither glibc's nor musl's", loader);
  }
  return "it is a static binary: LD_PRELOAD needs a dynamic loader";
}

std::string why_not(const File& file, const std::string& path) {
  const std::string_view head = file.head;
  if (head.size() < EI_NIDENT || !head.starts_with(ELFMAG)) return "";
  if (head[EI_CLASS] == ELFCLASS32) return "it is a 32-bit program, the shim is a 64-bit library";
  if (load<Elf64_Ehdr>(head, 0).e_machine != static_cast<uint32_t>(kOwnMachine))
    return "it is for another CPU architecture";
  if (const std::string loader = why_not_by_loader(head); !loader.empty()) return loader;
  if (file.info.st_mode & S_ISUID) return "it is set-uid: the loader drops LD_PRELOAD";
  if ((file.info.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
    return "it is set-gid: the loader drops LD_PRELOAD";
  if (getxattr(path.c_str(), "security.capability", nullptr, 0) > 0)
    return "it has file capabilities: the loader drops LD_PRELOAD";
  return "";
}

int64_t changed_ns(const struct stat& info) {
  return int64_t{info.st_ctim.tv_sec} * 1'000'000'000 + info.st_ctim.tv_nsec;
}

}  // namespace

std::optional<std::string> why_without_shim(const std::string& path, int64_t before_ns) {
  std::string at = path;
  for (unsigned depth = 0; depth < kInterpreters; ++depth) {
    const auto file = read_head(at);
    if (!file || changed_ns(file->info) > before_ns) return {};
    if (!file->head.starts_with("#!")) {
      const std::string why = why_not(*file, at);
      return why.empty() || depth == 0 ? why : fmt::format("its interpreter {}: {}", at, why);
    }
    at = interpreter_of_script(file->head);
    if (!at.starts_with('/')) return {};  // from the folder that the program was in
  }
  return {};
}

// cmd/link and gcc alike keep its ELF note "Go" (the build id) in the program.
bool has_go_note(const std::string& path, int64_t before_ns) {
  const auto file = read_head(path);
  if (!file || changed_ns(file->info) > before_ns) return false;
  const std::string_view head = file->head;
  if (head.size() < EI_NIDENT || !head.starts_with(ELFMAG)) return false;
  const auto header = load<Elf64_Ehdr>(head, 0);
  constexpr std::string_view kName("\4\0\0\0Go\0\0", 8);  // type 4, then the name
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    const auto part = load<Elf64_Phdr>(head, header.e_phoff + uint64_t{i} * header.e_phentsize);
    if (part.p_type != PT_NOTE || part.p_offset >= head.size()) continue;
    if (head.substr(part.p_offset, part.p_filesz).find(kName) != head.npos) return true;
  }
  return false;
}

// src/jemalloc.c malloc_conf_next(), in all versions since 3.0.
bool has_jemalloc_inside(const std::string& path) {
  constexpr std::string_view kMessage = "<jemalloc>: Conf string ends with key";
  struct stat info {};
  if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return false;
  std::ifstream file(path, std::ios::binary);
  std::string bytes(1 << 20, '\0');
  for (size_t kept = 0; file;) {
    file.read(bytes.data() + kept, static_cast<std::streamsize>(bytes.size() - kept));
    const size_t have = kept + static_cast<size_t>(file.gcount());
    if (std::string_view(bytes).substr(0, have).find(kMessage) != std::string_view::npos)
      return true;
    kept = std::min(have, kMessage.size());
    bytes.replace(0, kept, bytes, have - kept, kept);
  }
  return false;
}

std::string find_program(const std::string& name) {
  if (name.find('/') != name.npos) return name;
  const char* path = std::getenv("PATH");
  std::string_view left = path ? path : "/bin:/usr/bin";
  for (;;) {
    const size_t colon = left.find(':');
    const std::string folder(left.substr(0, colon));
    const std::string candidate = (folder.empty() ? "." : folder) + "/" + name;
    struct stat info {};
    if (stat(candidate.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
        access(candidate.c_str(), X_OK) == 0)
      return candidate;
    if (colon == left.npos) return "";
    left.remove_prefix(colon + 1);
  }
}

}  // namespace ovc
