// SPDX-License-Identifier: MIT
//
// A whole log: each command of the reader on it, in text and JSON. Whatever it holds, it is read to its end or refused, what is printed
// drives no terminal, and JSON is JSON.
//   input: a log, and behind it one byte: which command
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "tests/fuzz/checks.h"
#include "tests/fuzz/log_mutator.h"
#include "tools/commands.h"
#include "tools/log_reader.h"

namespace {

using namespace ovc;
using Bytes = std::vector<unsigned char>;

constexpr unsigned kCommands = 6;

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
  const std::string text = fuzz::output_of([&] { run_command(data[size - 1] % kCommands, file.path(), json); });
  json ? fuzz::check_json_lines(text) : fuzz::check_text(text);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  std::mt19937 random(seed);
  Bytes log(data, data + (size < 2 ? 0 : size - 1));
  unsigned char command = size < 2 ? 0 : data[size - 1];
  if (log.empty() || random() % 64 == 0) log = fuzz::make_log(random);
  for (unsigned changes = 1 + random() % 4; changes > 0; --changes) fuzz::change_log(log, random, max_size - 1);
  if (random() % 4 == 0) command = static_cast<unsigned char>(random());
  log.resize(std::min(log.size(), max_size - 1));
  log.push_back(command);
  std::memcpy(data, log.data(), log.size());
  return log.size();
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* one, size_t one_size, const uint8_t* other, size_t other_size,
                                            uint8_t* out, size_t max_out, unsigned int seed) {
  std::mt19937 random(seed);
  Bytes log(one, one + one_size);
  fuzz::splice_logs(log, {other, other_size}, random);
  log.resize(std::min(log.size(), max_out));
  std::memcpy(out, log.data(), log.size());
  return log.size();
}
