// SPDX-License-Identifier: MIT
//
// One ELF file of this machine: names for its addresses, from .symtab, .dynsym and debug
// information, its own or from /usr/lib/debug/.build-id. Uses libelf and libdw only (not libdwfl,
// which can fetch from a network).
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/symbols/elf_bytes.h"
#include "tools/symbols/file_identity.h"
#include "tools/symbols/message_names.h"
#include "tools/symbols/method_names.h"

namespace ovc {

// One level of source position: the code's own function, or one inlined into the next.
struct SourceFrame {
  std::string function;  // as in the debug information: linkage name, else plain name
  std::string file;
  unsigned line = 0;
  bool inlined = false;
};

class ElfObject {
 public:
  // The file at `path` if it is a regular file with this build id (raw bytes), else the one in
  // /usr/lib/debug/.build-id, else nullptr. Without a build id the file at `path` if it is the
  // recorded one, unchanged. Damaged files give fewer names, never an error. Files
  // are read, not mapped: one that shrinks does no harm. Debug information is read only of files of
  // root or of our own user: libdw was not made for those of an adversary. `root`: the folder below
  // which `path` lies, of a container; its files are nobody's that we trust.
  static std::unique_ptr<ElfObject> open(const std::string& path, std::string_view build_id,
                                         const FileIdentity& file = {},
                                         const std::string& root = {});
  ~ElfObject();
  // Raw bytes; empty if the file has none or is not a regular ELF file.
  static std::string build_id(const std::string& path);

  struct Symbol {
    uint64_t start, size;
    uint32_t rank;  // the better name of two at one address has the higher rank
    const char* name;
  };
  // Symbol that covers an address of the file (as linked), or nullptr.
  const Symbol* symbol_at(uint64_t address) const;
  bool defines(std::string_view name) const;
  // The Python method whose code holds the address; nullptr where no table of methods names it.
  const MethodNames::Method* method_at(uint64_t address) const;
  // A static function of a stripped server, told by its message. file_name: this file's, without
  // directories.
  std::optional<MessageNames::Function> messenger_at(uint64_t address,
                                                     std::string_view file_name) const;
  // Innermost first; empty without debug information for this address.
  std::vector<SourceFrame> source_at(uint64_t address) const;
  // True if these bytes stand at the address.
  bool has_bytes(uint64_t address, std::string_view bytes) const;

 private:
  struct Parts;  // libelf's and libdw's handles
  ElfObject();
  void read_symbols(Parts& parts);
  Parts* described() const;
  const ElfBytes& bytes() const;  // of the mapped file, if there is one

  std::unique_ptr<Parts> own_,
      debug_;  // the mapped file; the separate file with its debug information
  mutable std::optional<Parts*>
      described_;  // whose debug information is used, once that was looked for
  mutable std::unique_ptr<ElfBytes> bytes_;
  mutable std::unique_ptr<MethodNames> methods_;  // read when first asked for
  mutable std::unique_ptr<MessageNames> messages_;
  std::vector<Symbol> symbols_;  // ascending by start, one per address
};

}  // namespace ovc
