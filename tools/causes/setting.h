// SPDX-License-Identifier: MIT
//
// What a program is and where it runs, as far as recorded or read: for advice in its own words.
// Whatever is not known stays empty, and what would need it is not said.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ovc {

struct Setting {
  std::string exe;                      // its file, raw; empty: not known
  std::optional<bool> jemalloc;         // its allocator is in the process
  std::optional<uint64_t> mode_then;    // vm.overcommit_memory when the program was started
  std::vector<std::string> groups;      // paths of its control groups and of those above; raw
  std::optional<uint64_t> place_files;  // ovcshim::PlaceFile bits
  // Of a fork: children that this very call made before, if each of them went on to run a program.
  uint64_t ran_programs = 0;
  bool runs_program = false;  // it is for that, by the name of who asked for it
};

enum class Service : uint8_t { kNone, kRedis, kPostgres, kJava, kNode, kPhpFpm };
// By the file it runs, else by its command name.
Service service_of(const Setting& setting, std::string_view comm);

enum class Place : uint8_t { kUnknown, kUnit, kDocker, kPodman, kKubernetes };
// A container that systemd has a unit for is a container. `unit` gets the name of the systemd unit,
// which is fit for a terminal.
Place place_of(const Setting& setting, std::string* unit = nullptr);

// Where a limit of this kind ("memory", "tasks", "as", ...) is set, as words to be put behind it:
// " (MemoryMax= in redis.service)". Empty where nobody can say.
std::string knob_text(std::string_view kind, const Setting& setting);

// Who there ends processes from outside, and where that is written down: empty where nobody can
// say.
std::string outside_text(const Setting& setting);

}  // namespace ovc
