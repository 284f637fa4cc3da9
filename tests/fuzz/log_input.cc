// SPDX-License-Identifier: MIT
//
// How libFuzzer changes the inputs of the harnesses over whole logs: a log, and behind it one byte
// that says what to do with it.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "tests/fuzz/log_mutator.h"

using namespace ovc;
using Bytes = std::vector<unsigned char>;

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  std::mt19937 random(seed);
  Bytes log(data, data + (size < 2 ? 0 : size - 1));
  unsigned char command = size < 2 ? 0 : data[size - 1];
  if (log.empty() || random() % 64 == 0) log = fuzz::make_log(random);
  for (unsigned changes = 1 + random() % 4; changes > 0; --changes)
    fuzz::change_log(log, random, max_size - 1);
  if (random() % 4 == 0) command = static_cast<unsigned char>(random());
  log.resize(std::min(log.size(), max_size - 1));
  log.push_back(command);
  std::memcpy(data, log.data(), log.size());
  return log.size();
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* one, size_t one_size,
                                            const uint8_t* other, size_t other_size, uint8_t* out,
                                            size_t max_out, unsigned int seed) {
  std::mt19937 random(seed);
  Bytes log(one, one + one_size);
  fuzz::splice_logs(log, {other, other_size}, random);
  log.resize(std::min(log.size(), max_out));
  std::memcpy(out, log.data(), log.size());
  return log.size();
}
