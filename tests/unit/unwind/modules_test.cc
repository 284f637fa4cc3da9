// SPDX-License-Identifier: MIT
//
// The module table against the loader's own list, and against files and mappings made to mislead
// it.
#include "shim/unwind/modules.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/catch.h"
#include "tools/log/kernel_numbers.h"

using namespace ovcshim;

namespace {

using Table = std::unique_ptr<ModuleTable>;
constexpr uint64_t kPage = 4096;

Table read_table() {
  Table table = std::make_unique<ModuleTable>();
  REQUIRE(read_modules(*table));
  for (unsigned i = 0; i + 1 < table->count; ++i)
    REQUIRE(table->modules[i].start < table->modules[i + 1].start);
  return table;
}

const Module* starting_at(const ModuleTable& table, const void* start) {
  for (unsigned i = 0; i < table.count; ++i)
    if (table.modules[i].start == reinterpret_cast<uint64_t>(start)) return &table.modules[i];
  return nullptr;
}

std::string path_of(const Module& module) { return {module.path, module.path_len}; }
uint64_t address(const void* p) { return reinterpret_cast<uint64_t>(p); }

// What the loader knows of an object.
struct Loaded {
  std::string name, build_id;
  uint64_t bias = 0, eh_frame_hdr = 0, text = 0;
};

std::string build_id_in(const char* at, size_t bytes) {
  for (size_t used = 0; used + sizeof(Elf64_Nhdr) <= bytes;) {
    Elf64_Nhdr note;
    std::memcpy(&note, at + used, sizeof note);
    size_t name = used + sizeof note, desc = name + (note.n_namesz + 3) / 4 * 4;
    if (note.n_type == NT_GNU_BUILD_ID && std::memcmp(at + name, "GNU", 4) == 0)
      return {at + desc, note.n_descsz};
    used = desc + (note.n_descsz + 3) / 4 * 4;
  }
  return {};
}

int collect(dl_phdr_info* info, size_t, void* out) {
  Loaded loaded;
  loaded.name = info->dlpi_name;
  loaded.bias = info->dlpi_addr;
  for (const ElfW(Phdr)* p = info->dlpi_phdr; p != info->dlpi_phdr + info->dlpi_phnum; ++p) {
    uint64_t at = info->dlpi_addr + p->p_vaddr;
    if (p->p_type == PT_GNU_EH_FRAME) loaded.eh_frame_hdr = at;
    if (p->p_type == PT_LOAD && p->p_flags & PF_X) loaded.text = at;
    if (p->p_type == PT_NOTE && p->p_align <= 4 && loaded.build_id.empty())
      loaded.build_id = build_id_in(reinterpret_cast<const char*>(at), p->p_memsz);
  }
  static_cast<std::vector<Loaded>*>(out)->push_back(loaded);
  return 0;
}

std::vector<Loaded> loaded_objects() {
  std::vector<Loaded> objects;
  dl_iterate_phdr(collect, &objects);
  return objects;
}

// A directory for the files of one test.
struct Scratch {
  std::filesystem::path path;
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "ovcshim-modules-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()));
    path = name;
  }
  ~Scratch() { std::filesystem::remove_all(path); }
};

int write_file(const std::filesystem::path& path, const std::string& bytes) {
  int fd = open(path.c_str(), O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0700);
  REQUIRE(fd >= 0);
  REQUIRE(write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  return fd;
}

struct Mapping {
  char* at;
  size_t bytes;
  explicit Mapping(size_t n)
      : at(static_cast<char*>(
            mmap(nullptr, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))),
        bytes(n) {
    REQUIRE(at != MAP_FAILED);
  }
  Mapping(const Mapping&) = delete;
  ~Mapping() { munmap(at, bytes); }
  void file(size_t where, int fd, int prot, off_t offset = 0, size_t n = kPage) {
    REQUIRE(mmap(at + where, n, prot, MAP_PRIVATE | MAP_FIXED, fd, offset) != MAP_FAILED);
  }
};

// An object of one file page, with one PT_LOAD for each given (file offset, address, bytes).
struct Load {
  uint64_t offset, vaddr, bytes;
};
std::string tiny_elf(const std::vector<Load>& loads) {
  Elf64_Ehdr elf{};
  std::memcpy(elf.e_ident, ELFMAG, SELFMAG);
  elf.e_ident[EI_CLASS] = ELFCLASS64;
  elf.e_ident[EI_DATA] = ELFDATA2LSB;
  elf.e_phoff = sizeof elf;
  elf.e_phentsize = sizeof(Elf64_Phdr);
  elf.e_phnum = static_cast<uint16_t>(loads.size());
  std::string bytes(reinterpret_cast<char*>(&elf), sizeof elf);
  for (const Load& load : loads) {
    Elf64_Phdr header{};
    header.p_type = PT_LOAD;
    header.p_offset = load.offset;
    header.p_vaddr = load.vaddr;
    header.p_filesz = header.p_memsz = load.bytes;
    bytes.append(reinterpret_cast<char*>(&header), sizeof header);
  }
  bytes.resize(kPage);
  return bytes;
}

constexpr int kReadExec = PROT_READ | PROT_EXEC;

}  // namespace

TEST_CASE("modules: everything the loader lists, with the same bias, build id and unwind table") {
  Table table = read_table();
  CHECK(table->cut == 0);
  unsigned with_build_id = 0;
  for (const Loaded& object : loaded_objects()) {
    INFO(object.name);
    const Module* module = find_module(*table, object.text);
    REQUIRE(module);
    CHECK(module->bias == object.bias);
    CHECK(module->eh_frame_hdr == object.eh_frame_hdr);
    CHECK(std::string(reinterpret_cast<const char*>(module->build_id), module->build_id_len) ==
          object.build_id);
    with_build_id += module->build_id_len > 0;
    if (object.name[0] == '/') CHECK(std::filesystem::equivalent(path_of(*module), object.name));
  }
  CHECK(with_build_id >= 2);
}

TEST_CASE("modules: the program, libc, ld.so and the vdso are there") {
  Table table = read_table();
  const Module* own = find_module(*table, address(reinterpret_cast<void*>(&find_module)));
  REQUIRE(own);
  CHECK(path_of(*own) == std::filesystem::read_symlink("/proc/self/exe").string());
  const Module* libc = find_module(*table, address(dlsym(RTLD_DEFAULT, "gnu_get_libc_version")));
  REQUIRE(libc);
  CHECK(path_of(*libc).find("libc") != std::string::npos);
  CHECK(libc->build_id_len > 0);
  bool loader = false, vdso = false;
  for (unsigned i = 0; i < table->count; ++i) {
    loader |= path_of(table->modules[i]).find("/ld-") != std::string::npos;
    // That of aarch64 has no index of its frames; nothing in it calls anything.
    const bool indexed =
        table->modules[i].eh_frame_hdr != 0 || ovc::kOwnMachine == Machine::kAarch64;
    vdso |= path_of(table->modules[i]) == "[vdso]" && indexed;
  }
  CHECK(loader);
  CHECK(vdso);
}

TEST_CASE("modules: addresses outside of any text belong to nobody") {
  Table table = read_table();
  int local = 0;
  CHECK_FALSE(find_module(*table, 0));
  CHECK_FALSE(find_module(*table, UINT64_MAX));
  CHECK_FALSE(find_module(*table, address(&local)));
  const Module& first = table->modules[0];
  CHECK(find_module(*table, first.text_start) == &first);
  CHECK(find_module(*table, first.text_end - 1) == &first);
  CHECK_FALSE(find_module(*table, first.text_start - 1));
  CHECK_FALSE(find_module(*table, first.text_end));
  ModuleTable empty{};
  CHECK_FALSE(find_module(empty, first.text_start));
}

TEST_CASE("modules: a deleted library keeps its name without the kernel's mark") {
  Scratch scratch;
  std::string copy = scratch.path / "copy.so";
  Dl_info info;
  REQUIRE(dladdr(dlsym(RTLD_DEFAULT, "cos"), &info));
  std::filesystem::copy_file(std::filesystem::canonical(info.dli_fname), copy);
  void* handle = dlopen(copy.c_str(), RTLD_NOW | RTLD_LOCAL);
  REQUIRE(handle);
  std::filesystem::remove(copy);
  Table table = read_table();
  const Module* module = find_module(*table, address(dlsym(handle, "cos")));
  REQUIRE(module);
  CHECK(path_of(*module) == copy);
  dlclose(handle);
}

TEST_CASE("modules: small files mapped twice at offset 0 are one object, two copies are two") {
  Scratch scratch;
  int fd = write_file(scratch.path / "small", tiny_elf({{0, 0, 0x100}, {0x100, 0x1100, 0x100}}));
  Mapping room(8 * kPage);
  for (size_t copy : {size_t{0}, 2 * kPage}) {
    room.file(copy, fd, PROT_READ);
    room.file(copy + kPage, fd, kReadExec);
  }
  close(fd);
  Table table = read_table();
  for (size_t copy : {size_t{0}, 2 * kPage}) {
    const Module* module = starting_at(*table, room.at + copy);
    REQUIRE(module);
    CHECK(module->bias == address(room.at + copy));
    CHECK(module->end == address(room.at + copy + 2 * kPage));
    CHECK(module->text_start == address(room.at + copy + kPage));
    CHECK(module->text_end == address(room.at + copy + 2 * kPage));
  }
}

TEST_CASE("modules: text that was moved to anonymous memory still belongs to its object") {
  Scratch scratch;
  int fd =
      write_file(scratch.path / "moved", tiny_elf({{0, 0x10000, 0x100}, {0x100, 0x11100, 0x100}}));
  Mapping room(8 * kPage);
  room.file(0, fd, PROT_READ);
  close(fd);
  REQUIRE(mprotect(room.at + kPage, kPage, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
  Table table = read_table();
  const Module* module = find_module(*table, address(room.at + kPage));
  REQUIRE(module);
  CHECK(module->start == address(room.at));
  CHECK(module->bias == address(room.at) - 0x10000);
}

TEST_CASE("modules: executable files of another format are passed over") {
  Scratch scratch;
  int fd = write_file(scratch.path / "script", std::string(kPage, '#'));
  int empty = write_file(scratch.path / "empty", "");
  Mapping room(8 * kPage);
  room.file(0, fd, kReadExec);
  room.file(2 * kPage, empty, kReadExec);  // reading it would raise SIGBUS
  close(fd);
  close(empty);
  Table table = read_table();
  CHECK_FALSE(find_module(*table, address(room.at)));
  CHECK_FALSE(find_module(*table, address(room.at + 2 * kPage)));
}

TEST_CASE("modules: a long path is cut at its end") {
  Scratch scratch;
  std::filesystem::path dir = scratch.path / std::string(200, 'a') / std::string(200, 'b');
  std::filesystem::create_directories(dir);
  int fd = write_file(dir / "object", tiny_elf({{0, 0, 0x100}}));
  Mapping room(4 * kPage);
  room.file(0, fd, kReadExec);
  close(fd);
  Table table = read_table();
  const Module* module = starting_at(*table, room.at);
  REQUIRE(module);
  CHECK(path_of(*module) == (dir / "object").string().substr(0, sizeof module->path));
}

TEST_CASE("modules: a path that just fits is not cut into the kernel's mark") {
  Scratch scratch;
  for (size_t len = sizeof(Module::path) - 12; len <= sizeof(Module::path); ++len) {
    std::filesystem::path path =
        scratch.path / std::string(len - scratch.path.string().size() - 1, 'n');
    int fd = write_file(path, tiny_elf({{0, 0, 0x100}}));
    Mapping room(4 * kPage);
    room.file(0, fd, kReadExec);
    close(fd);
    std::filesystem::remove(path);
    Table table = read_table();
    const Module* module = starting_at(*table, room.at);
    REQUIRE(module);
    CHECK(path_of(*module) == path.string());
  }
}

TEST_CASE("modules: hostile headers neither crash nor leave a table out of order") {
  Scratch scratch;
  std::mt19937_64 random(7);
  const std::string good =
      tiny_elf({{0, 0, 0x100}, {0x100, 0x1100, 0x100}, {0x200, 0x2200, 0x9000}});
  for (int round = 0; round < 300; ++round) {
    std::string bad = good;
    for (int i = 0; i < 12; ++i) bad[16 + random() % 220] = static_cast<char>(random());
    for (size_t type = sizeof(Elf64_Ehdr); round % 3 == 0 && type < 230; type += sizeof(Elf64_Phdr))
      bad[type] = PT_NOTE;
    int fd = write_file(scratch.path / "bad", bad);
    Mapping room(4 * kPage);
    room.file(0, fd, kReadExec);
    close(fd);
    Table table = read_table();
    CHECK(find_module(*table, address(reinterpret_cast<void*>(&find_module))));
  }
}

TEST_CASE("modules: of too many objects the program and the highest ones stay") {
  Scratch scratch;
  int fd = write_file(scratch.path / "many", tiny_elf({{0, 0, 0x100}}));
  constexpr size_t kCopies = 2 * kMaxModules + 17;
  Mapping room(2 * kCopies * kPage);
  for (size_t i = 0; i < kCopies; ++i) room.file(2 * i * kPage, fd, kReadExec);
  close(fd);
  Table table = read_table();
  CHECK(table->cut == 1);
  CHECK(table->count == kMaxModules);
  CHECK(find_module(*table, address(reinterpret_cast<void*>(&find_module))) == &table->modules[0]);
  CHECK(find_module(*table, address(dlsym(RTLD_DEFAULT, "gnu_get_libc_version"))));
  CHECK(find_module(*table, address(room.at + 2 * (kCopies - 1) * kPage)));
  CHECK_FALSE(find_module(*table, address(room.at)));
}

TEST_CASE("modules: sixty thousand mappings") {
  constexpr size_t kPages = 60000;
  Mapping room(kPages * kPage);
  size_t made = 0;
  while (made < kPages && mprotect(room.at + made * kPage, kPage, PROT_READ) == 0)
    made += 2;  // until max_map_count
  Table table = read_table();
  CHECK(table->cut == 0);
  CHECK(find_module(*table, address(dlsym(RTLD_DEFAULT, "gnu_get_libc_version"))));
}
