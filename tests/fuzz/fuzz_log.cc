// SPDX-License-Identifier: MIT
//
// A whole log: each command of the reader on it, in text and JSON (what makes files of it:
// fuzz_export.cc). Whatever it holds, it is read to its end or refused, what is printed drives no
// terminal, and JSON is JSON.
//   input: a log, and behind it one byte: which command
#include "tests/fuzz/checks.h"
#include "tools/commands/commands.h"

namespace {

using namespace ovc;

constexpr unsigned kCommands = 7;

void run_command(unsigned which, const std::string& log, bool json) {
  switch (which) {
    case 0: why({log, json}); return;
    case 1: {
      ShowOptions options;
      options.log = log, options.json = json, options.stacks = true;
      show(options);
      return;
    }
    case 2: forks({log, json}); return;
    case 3: {
      StatsOptions options;
      options.log = log, options.json = json;
      stats(options);
      return;
    }
    case 4: {
      StatsOptions options;
      options.log = log, options.json = json, options.stacks = true;
      stats(options);
      return;
    }
    case 5: {
      MapsOptions options;
      options.log = log, options.json = json;
      maps(options);
      return;
    }
    default: {
      PlanOptions options;
      options.target = log, options.json = json;
      plan(options);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return -1;
  static fuzz::MemoryFile file;
  file.set({data, size - 1});
  const bool json = data[size - 1] & 0x80;
  const std::string text =
      fuzz::output_of([&] { run_command(data[size - 1] % kCommands, file.path(), json); });
  json ? fuzz::check_json_lines(text) : fuzz::check_text(text);
  return 0;
}
