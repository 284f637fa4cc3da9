// SPDX-License-Identifier: MIT
//
// `ovc check` of a process in a /proc whose files are the input's: the input is cut at bytes 0 into
// one text for each file.
#include <array>
#include <string>

#include "tests/fuzz/checks.h"
#include "tests/unit/proc_tree.h"
#include "tools/commands/check_report.h"
#include "tools/text/json.h"

namespace {

using namespace ovc;

// What the input gives texts for, in its order. A text that is missing leaves the calm host's.
constexpr std::array kFiles = {"100/smaps",
                               "100/status",
                               "100/stat",
                               "100/limits",
                               "100/cgroup",
                               "100/statm",
                               "self/mountinfo",
                               "meminfo",
                               "loadavg",
                               "stat",
                               "100/maps",
                               "100/comm",
                               "sys/vm/overcommit_kbytes"};

void put_texts(test::ProcTree& tree, std::string_view input) {
  for (size_t i = 0; i < kFiles.size() && !input.empty(); ++i) {
    const size_t end = input.find('\0');
    tree.put(kFiles[i], std::string(input.substr(0, end)));
    input.remove_prefix(end == input.npos ? input.size() : end + 1);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static test::ProcTree tree;
  put_texts(tree, {reinterpret_cast<const char*>(data), size});
  const LiveHost host(tree.root());
  for (const Depth depth : {Depth::kExact, Depth::kEstimate}) {
    const CheckReport report = check_processes(host, {100}, depth);
    fuzz::check_text(check_text(report));
    fuzz::check_text(check_openmetrics(report));
    fuzz::check_json(json_text(check_json(report)));
  }
  return 0;
}
