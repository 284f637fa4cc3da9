// SPDX-License-Identifier: MIT
//
// The table: messages that one function alone prints, as they stand in the sources, complete.
#include "tools/symbols/message_names.h"

#include <gelf.h>

#include <algorithm>
#include <array>
#include <string>

#include "tools/symbols/elf_bytes.h"

namespace ovc {
namespace {

constexpr uint64_t kLargestFunction = 1 << 16;

struct MessageRow {
  std::string_view file;  // prefix of the file's name
  std::string_view message, function;
  std::string_view outer_message = {},
                   outer = {};  // of the function that the compiler may have put this one into
};

// clang-format off
constexpr std::array kMessages = {
    // src/backend/postmaster/postmaster.c, up to PostgreSQL 17
    MessageRow{"postgres", "could not fork new process for connection: %m", "BackendStartup",
               "performing immediate shutdown because data directory lock file is invalid", "ServerLoop"},
    MessageRow{"postgres", "could not fork worker process: %m",             "do_start_bgworker"},
    MessageRow{"postgres", "could not fork startup process: %m",            "StartChildProcess"},
    // server/mpm/*/*.c, modules/generators/mod_cgi.c, mod_cgid.c
    MessageRow{"mod_mpm_prefork", "AH00159: fork: Unable to fork new process", "make_child"},
    MessageRow{"mod_mpm_worker",  "AH00283: fork: Unable to fork new process", "make_child"},
    MessageRow{"mod_mpm_event",   "AH00481: fork: Unable to fork new process", "make_child"},
    MessageRow{"mod_cgi.so",  "AH01223: couldn't spawn child process: %s", "run_cgi_child"},
    MessageRow{"mod_cgid.so", "AH01247: Error accepting on cgid socket",   "cgid_server"},
    // src/os/unix/ngx_process_cycle.c
    MessageRow{"nginx", "start worker processes", "ngx_start_worker_processes"},
    MessageRow{"nginx", "cache manager process",  "ngx_start_cache_manager_processes"},
    // subst.c
    MessageRow{"bash", "cannot make child for process substitution", "process_substitute"},
    // sapi/fpm/fpm/fpm_children.c, fpm_unix.c
    MessageRow{"php-fpm", "fork() failed",       "fpm_children_make"},
    MessageRow{"php-fpm", "failed to daemonize", "fpm_unix_init_main"},
};
// clang-format on

std::string_view program_of(std::string_view file_name) {
  for (const auto& row : kMessages)
    if (file_name.starts_with(row.file)) return row.file;
  return {};
}

// Position independent code takes the address of a string relative to the end of the instruction,
// which is that of the displacement: lea disp32(%rip), %reg. Four bytes anywhere that lead to
// exactly this text are such a displacement.
bool refers_to(const ElfBytes& bytes, std::string_view code, uint64_t start,
               std::string_view message) {
  const std::string text = std::string(message) + '\0';
  for (size_t i = 0; i + 4 <= code.size(); ++i) {
    const uint64_t target = start + i + 4 + static_cast<uint64_t>(int64_t{load<int32_t>(code, i)});
    if (bytes.at(target).starts_with(text)) return true;
  }
  return false;
}

bool is_x86_64(Elf* elf) {
  GElf_Ehdr header;
  return gelf_getehdr(elf, &header) && header.e_machine == EM_X86_64 &&
         gelf_getclass(elf) == ELFCLASS64;
}

}  // namespace

bool MessageNames::expected_in(std::string_view file_name) {
  return !program_of(file_name).empty();
}

MessageNames::MessageNames(Elf* elf, const ElfBytes& bytes, std::string_view file_name)
    : bytes_(bytes), program_(program_of(file_name)) {
  if (!program_.empty() && is_x86_64(elf)) functions_ = bytes.function_starts();
}

std::string_view MessageNames::name_of(uint64_t start, uint64_t end) const {
  const std::string_view code = bytes_.at(start).substr(0, std::min(end - start, kLargestFunction));
  std::string_view name;
  for (const auto& row : kMessages) {
    if (row.file != program_ || !refers_to(bytes_, code, start, row.message)) continue;
    if (!name.empty()) return {};
    const bool is_part = !row.outer.empty() && refers_to(bytes_, code, start, row.outer_message);
    name = is_part ? row.outer : row.function;
  }
  return name;
}

std::optional<MessageNames::Function> MessageNames::at(uint64_t address) const {
  const auto next = std::upper_bound(functions_.begin(), functions_.end(), address);
  if (next == functions_.begin()) return std::nullopt;
  const uint64_t start = *std::prev(next),
                 end = next == functions_.end() ? start + kLargestFunction : *next;
  const auto [place, is_new] = looked_.try_emplace(start);
  if (is_new) place->second = name_of(start, end);
  if (place->second.empty()) return std::nullopt;
  return Function{start, place->second};
}

}  // namespace ovc
