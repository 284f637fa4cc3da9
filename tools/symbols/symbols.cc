// SPDX-License-Identifier: MIT
#include "tools/symbols/symbols.h"

#include <cxxabi.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "tools/symbols/elf_object.h"
#include "tools/symbols/other_roots.h"

namespace ovc {
namespace {

using namespace ovcshim;

constexpr size_t kCacheLimit = 1 << 17;  // a hostile log can name millions of addresses
constexpr size_t kMaxModulesPerImage = 1 << 16;
constexpr size_t kLongestName = 4096;  // demangled names can explode

// What the kernel makes a signal handler return to, where its frame is found: mov $15,%rax;
// syscall. On aarch64 that is code of the kernel's own, in the [vdso], whose other functions call
// nothing.
constexpr std::string_view kSignalReturn("\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05", 9);

std::string demangled(const std::string& name) {
  if (!name.starts_with("_Z") || name.size() > kLongestName) return name;
  int status = 0;
  char* text = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status);
  std::string result = status == 0 && text ? text : name;
  std::free(text);
  return result.size() > kLongestName ? name : result;
}

// The record's text is the build id, then the path.
ModuleInfo module_from(const Event& event) {
  const auto& args = event.base.args;
  const size_t id_length = std::min<uint64_t>(args[3], event.text.size());
  return {args[0],
          args[1],
          args[2],
          event.position,
          event.text.substr(0, id_length),
          event.text.substr(id_length),
          {args[4], args[5]}};
}

// Newest list wins where two overlap: an older one may describe what was unmapped since.
std::vector<ModuleInfo> without_overlaps(std::vector<ModuleInfo> modules) {
  std::sort(modules.begin(), modules.end(),
            [](const auto& a, const auto& b) { return a.position > b.position; });
  std::map<uint64_t, ModuleInfo> kept;  // by start
  for (ModuleInfo& module : modules) {
    const auto next = kept.lower_bound(module.start);
    const bool hits_next = next != kept.end() && next->second.start < module.end;
    const bool hits_previous = next != kept.begin() && std::prev(next)->second.end > module.start;
    if (!hits_next && !hits_previous) kept.emplace(module.start, std::move(module));
  }
  std::vector<ModuleInfo> list;
  list.reserve(kept.size());
  for (auto& [start, module] : kept) list.push_back(std::move(module));
  return list;
}

}  // namespace

bool is_plumbing(std::string_view module) {
  constexpr std::string_view kNames[] = {"libc.so",  "libc-",   "libpthread",
                                         "ld-linux", "ld-musl", "libovcshim"};
  return std::any_of(std::begin(kNames), std::end(kNames),
                     [=](std::string_view name) { return module.starts_with(name); });
}

std::string Frame::text() const {
  if (module.empty()) return fmt::format("{:#x}", address);
  if (function.empty()) return fmt::format("{}+{:#x}", module, offset);
  return inlined ? fmt::format("{} (inlined, {})", function, module)
                 : fmt::format("{}+{:#x} ({})", function, offset, module);
}

std::string Frame::source() const {
  return file.empty() ? "" : line ? fmt::format("{}:{}", file, line) : file;
}

std::string_view ModuleInfo::file_name() const {
  const std::string_view all = path;
  return all.substr(all.rfind('/') + 1);
}

size_t Symbols::KeyHash::operator()(const Key& key) const {
  return (key.address ^ uint64_t{key.image} << 48 ^ static_cast<uint64_t>(key.pc) << 63 ^
          static_cast<uint64_t>(key.detail) << 62) *
             0x9e3779b97f4a7c15u >>
         16;
}

Symbols::Symbols(const LogReader& log) : machine_(static_cast<Machine>(log.header().machine)) {
  const auto add = [&](const Event& event) {
    if (event.base.args[0] >= event.base.args[1]) return true;
    auto& modules = images_[event.base.image];
    if (modules.size() < kMaxModulesPerImage) modules.push_back(module_from(event));
    return true;
  };
  log.for_each_event(add, {}, [](Op op) { return op == Op::kModule; });
  for (auto& [image, modules] : images_) modules = without_overlaps(std::move(modules));
  log_ = &log;
}

Symbols::Symbols(std::vector<ModuleInfo> modules) {
  images_[0] = without_overlaps(std::move(modules));
}

Symbols::~Symbols() = default;

void Symbols::add_module(const Event& event) {
  if (event.base.args[0] >= event.base.args[1]) return;
  auto& modules = images_[event.base.image];
  if (modules.size() == kMaxModulesPerImage) return;
  modules.push_back(module_from(event));
  modules = without_overlaps(std::move(modules));
  cache_.clear();
}

void Symbols::keep_images(const std::set<uint32_t>& wanted) {
  std::erase_if(images_, [&](const auto& entry) { return !wanted.contains(entry.first); });
  cache_.clear();
}

std::span<const ModuleInfo> Symbols::modules(uint32_t image) const {
  const auto found = images_.find(image);
  if (found == images_.end()) return {};
  return found->second;
}

const ModuleInfo* Symbols::module_at(uint32_t image, uint64_t address) const {
  const auto list = modules(image);
  auto next = std::upper_bound(list.begin(), list.end(), address,
                               [](uint64_t a, const ModuleInfo& m) { return a < m.start; });
  if (next == list.begin()) return nullptr;
  const ModuleInfo& module = *--next;
  return address < module.end ? &module : nullptr;
}

std::string Symbols::module_of(uint32_t image, uint64_t address) const {
  const ModuleInfo* module = module_at(image, address);
  return module ? std::string(module->file_name()) : "";
}

const ElfObject* Symbols::object_of(const ModuleInfo& module) {
  const auto [place, is_new] = objects_.try_emplace({module.build_id, module.path, module.file});
  if (!is_new) return place->second.get();
  place->second = ElfObject::open(module.path, module.build_id, module.file);
  // A hostile log names thousands of files.
  constexpr size_t kMostElsewhere = 4096;
  if (!place->second && objects_.size() < kMostElsewhere) place->second = open_elsewhere(module);
  return place->second.get();
}

std::unique_ptr<ElfObject> Symbols::open_elsewhere(const ModuleInfo& module) {
  if (!log_) return nullptr;
  if (!roots_) roots_ = other_roots(*log_);
  for (const std::string& root : *roots_)
    if (auto object = ElfObject::open(module.path, module.build_id, module.file, root))
      return object;
  return nullptr;
}

bool Symbols::defines(const ModuleInfo& module, std::string_view function) {
  const ElfObject* object = object_of(module);
  return object && object->defines(function);
}

std::string Symbols::missing(const ModuleInfo& module) {
  if (object_of(module)) return "";
  if (!module.build_id.empty()) return "no file with its build id is on this machine";
  return module.file.inode ? "it has no build id, and the file is not here or was changed since"
                           : "it has no build id, so that no file can be known to be the same";
}

const std::vector<Frame>& Symbols::resolve(uint32_t image, uint64_t address, Pc pc, Detail detail) {
  if (cache_.size() > kCacheLimit) cache_.clear();
  const Key key{address, image, pc, detail};
  const auto [place, is_new] = cache_.try_emplace(key);
  if (is_new) place->second = look_up(key);
  return place->second;
}

std::vector<Frame> Symbols::look_up(const Key& key) {
  const uint64_t address = key.address;
  // A return address may be the first byte behind a function that does not return.
  const uint64_t code = key.pc == Pc::kReturnAddress && address != 0 ? address - 1 : address;
  Frame frame;
  frame.address = address;
  const ModuleInfo* module = module_at(key.image, code);
  if (!module) return {frame};
  frame.module = module->file_name();
  if (frame.module.empty()) frame.module = "[anonymous]";
  frame.offset = address - module->bias;
  const ElfObject* object = object_of(*module);
  if (!object) return {frame};
  const uint64_t in_file = code - module->bias;
  if (const ElfObject::Symbol* symbol = object->symbol_at(in_file)) {
    frame.function = demangled(symbol->name);
    frame.offset = address - module->bias - symbol->start;
  } else if (MethodNames::expected_in(module->file_name())) {
    if (const auto* method = object->method_at(in_file)) {
      frame.function = fmt::format("<method {}>", method->name);
      frame.offset = address - module->bias - method->start;
    }
  } else if (MessageNames::expected_in(module->file_name())) {
    if (const auto messenger = object->messenger_at(in_file, module->file_name())) {
      frame.function = messenger->name;
      frame.offset = address - module->bias - messenger->start;
    }
  }
  if (key.detail == Detail::kNames && is_plumbing(frame.module)) return {frame};
  std::vector<Frame> frames;
  for (SourceFrame& source : object->source_at(in_file)) {
    Frame& level = frames.emplace_back(frame);
    if (source.inlined || frame.function.empty()) level.function = demangled(source.function);
    level.file = std::move(source.file);
    level.line = source.line;
    level.inlined = source.inlined;
  }
  if (frames.empty()) frames.push_back(std::move(frame));
  return frames;
}

bool Symbols::is_signal_trampoline(uint32_t image, uint64_t address) {
  const ModuleInfo* module = module_at(image, address);
  if (module && machine_ == Machine::kAarch64) return module->path == "[vdso]";
  const ElfObject* object = module ? object_of(*module) : nullptr;
  return object && object->has_bytes(address - module->bias, kSignalReturn);
}

std::vector<Frame> Symbols::stack(uint32_t image, std::span<const uint64_t> addresses,
                                  Detail detail) {
  std::vector<Frame> frames;
  Pc pc = Pc::kReturnAddress;
  for (const uint64_t address : addresses) {
    const bool trampoline = is_signal_trampoline(image, address);
    const auto& found = resolve(image, address, trampoline ? Pc::kExact : pc, detail);
    frames.insert(frames.end(), found.begin(), found.end());
    pc = trampoline
             ? Pc::kExact
             : Pc::kReturnAddress;  // below a signal frame: where the program was interrupted
  }
  return frames;
}

}  // namespace ovc
