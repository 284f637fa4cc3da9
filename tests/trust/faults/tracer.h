// SPDX-License-Identifier: MIT
//
// Runs a command under ptrace and lets chosen system calls of libovcshim.so fail. A call is the
// shim's if its instruction lies in the shim's code; the program's own calls are never touched.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace faults {

enum class Kind : uint8_t {
  kInstead,  // the call is not made; the result stands in its place
  kAfter,    // the call is made, then the result is replaced (close: the number is free whatever it
             // returns)
  kShort,    // the call is made with room for three bytes
};

// A place among the shim's calls. Processes are counted in the order of their creation, calls for
// each number apart.
struct Place {
  uint32_t process = 0, nth = 0;
  long nr = -1;
  uint64_t site = 0;  // offset in libovcshim.so
};

struct Fault {
  Kind kind = Kind::kInstead;
  long result = 0;
  bool always = false;  // every call of this number, as a seccomp filter does
  Place place;
};

struct Outcome {
  std::vector<Place> calls;  // the shim's calls of the run, if asked for
  uint32_t reached = 0;      // faults that happened
  uint32_t images = 0;       // programs that were executed
  uint32_t most_lines = 0;   // that the shim wrote in one of them
  bool hung = false;
  int status = 0;  // as wait() gives it
};

struct Command {
  std::vector<std::string> words;
  std::map<std::string, std::string> environment;  // beside that of this program
  std::string out, err;                            // files
  std::string err_kind;  // what descriptor 2 is, and copied to the file afterwards: "pipe",
                         // "socket", "terminal"; empty: the file itself, appended to
};

// Without faults and without the wish for the calls: not traced at all.
Outcome run(const Command& command, const std::vector<Fault>& faults, bool list_calls);

}  // namespace faults
