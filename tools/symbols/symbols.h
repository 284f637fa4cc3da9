// SPDX-License-Identifier: MIT
//
// Addresses -> function, module, source line, from the log's module lists and the ELF files of this
// machine, or of the container that wrote the log while it runs (other_roots.h). A file is used
// only if its build id is the recorded one; everything else is reported as module+offset. Nothing
// is fetched from a network and nothing but regular files is opened.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "tools/log/kernel_numbers.h"
#include "tools/log/log_reader.h"
#include "tools/symbols/file_identity.h"

namespace ovc {

class ElfObject;

struct Frame {
  uint64_t address = 0;  // as recorded
  std::string function;  // demangled; empty if unknown
  uint64_t offset = 0;  // from the function's start; if that is unknown the address in the file, as
                        // addr2line takes it
  std::string
      module;        // file name without directories; empty if the address lies in no known module
  std::string file;  // source file, empty if unknown
  unsigned line = 0;
  bool inlined = false;  // this function was inlined into the next frame's

  // "function+0x1f (module)", "module+0x1234", "0x7f0012345678"; raw bytes of the log: escape
  // before printing.
  std::string text() const;
  std::string source() const;  // "file.c:12" or empty
};

// What one kModule record says.
struct ModuleInfo {
  uint64_t start = 0, end = 0, bias = 0, position = 0;
  std::string build_id;  // raw bytes
  std::string path;      // raw bytes
  FileIdentity file;     // of an object without a build id
  std::string_view file_name() const;
};

enum class Pc { kReturnAddress, kExact };

// kNames: the debug information of libc, of the loader and of the shim is left unread. Their
// symbols name their functions; what it adds are lines, and functions inlined into theirs.
enum class Detail { kNames, kLines };

// File names of libc, the loader and the shim: how a call was made, not who made it.
bool is_plumbing(std::string_view module);

class Symbols {
 public:
  explicit Symbols(const LogReader& log);             // which lives as long
  explicit Symbols(std::vector<ModuleInfo> modules);  // of image 0: a process that runs
  ~Symbols();
  Symbols(const Symbols&) = delete;
  Symbols& operator=(const Symbols&) = delete;

  // One more kModule record, of a log that is being written.
  void add_module(const Event& event);
  size_t images() const { return images_.size(); }
  void keep_images(const std::set<uint32_t>& wanted);  // forgets the others

  // Innermost first: inlined functions, then the one that holds the code. Never empty.
  const std::vector<Frame>& resolve(uint32_t image, uint64_t address, Pc pc = Pc::kReturnAddress,
                                    Detail detail = Detail::kLines);
  // A whole stack of return addresses; knows that what lies below a signal trampoline is no return
  // address.
  std::vector<Frame> stack(uint32_t image, std::span<const uint64_t> addresses,
                           Detail detail = Detail::kLines);

  const ModuleInfo* module_at(uint32_t image, uint64_t address) const;
  std::string module_of(uint32_t image, uint64_t address) const;  // file name, empty if none
  std::span<const ModuleInfo> modules(
      uint32_t image) const;  // by start address; where lists overlap the newest wins
  // Why the names of a module are missing ("no file with this build id on this machine"); empty if
  // they are not.
  std::string missing(const ModuleInfo& module);
  // Does a function of this name stand in the module's symbol tables?
  bool defines(const ModuleInfo& module, std::string_view function);

 private:
  struct Key {
    uint64_t address;
    uint32_t image;
    Pc pc;
    Detail detail;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const;
  };
  const ElfObject* object_of(const ModuleInfo& module);
  std::unique_ptr<ElfObject> open_elsewhere(const ModuleInfo& module);
  std::vector<Frame> look_up(const Key& key);
  bool is_signal_trampoline(uint32_t image, uint64_t address);

  const ovcshim::Machine machine_ = kOwnMachine;  // that the code is for
  const LogReader* log_ = nullptr;
  std::optional<std::vector<std::string>> roots_;
  std::map<uint32_t, std::vector<ModuleInfo>> images_;
  std::map<std::tuple<std::string, std::string, FileIdentity>, std::unique_ptr<ElfObject>>
      objects_;  // by build id, path and file
  std::unordered_map<Key, std::vector<Frame>, KeyHash> cache_;
};

}  // namespace ovc
