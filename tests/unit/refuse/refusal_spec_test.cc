// SPDX-License-Identifier: MIT
#include "shim/format/refusal_spec.h"

#include <string>
#include <vector>

#include "tests/unit/catch.h"

using namespace ovcshim;

namespace {

InjectSpec injected(const std::string& text) {
  InjectSpec spec;
  INFO(text);
  REQUIRE(parse_inject(text.c_str(), spec).what == nullptr);
  return spec;
}

std::vector<uint64_t> refused_of_twelve(const std::string& when) {
  const InjectSpec spec = injected("fork:error=ENOMEM:when=" + when);
  std::vector<uint64_t> list;
  for (uint64_t n = 1; n <= 12; ++n)
    if (refuses_call(spec.rules[0], n)) list.push_back(n);
  return list;
}

constexpr OpSet bit(Op op) { return spec::bit(op); }

}  // namespace

TEST_CASE("when= counts as strace's does") {
  using List = std::vector<uint64_t>;
  CHECK(refused_of_twelve("3") == List{3});
  CHECK(refused_of_twelve("10+") == List{10, 11, 12});
  CHECK(refused_of_twelve("2+4") == List{2, 6, 10});
  CHECK(refused_of_twelve("4..6") == List{4, 5, 6});
  CHECK(refused_of_twelve("1..8+3") == List{1, 4, 7});
  CHECK(refused_of_twelve("9..100+") == List{9, 10, 11, 12});
}

TEST_CASE("a rule names calls, an errno and sizes") {
  const InjectSpec spec =
      injected("mmap,brk:error=EAGAIN:size>=2M;%fork:when=2:error=11;malloc:error=ENOMEM");
  REQUIRE(spec.count == 3);
  CHECK(spec.rules[0].ops == (bit(Op::kMmap) | bit(Op::kBrk)));
  CHECK(spec.rules[0].err == EAGAIN);
  CHECK(spec.rules[0].min_size == 2u << 20);
  CHECK(refuses_call(spec.rules[0], 1000));
  CHECK((spec.rules[1].ops & bit(Op::kPosixSpawnp)) != 0);
  CHECK((spec.rules[1].ops & (bit(Op::kWait) | bit(Op::kMadvise))) == 0);
  CHECK(spec.rules[1].err == 11);
  CHECK(spec.rules[2].ops == bit(Op::kMalloc));
  CHECK((injected("%malloc:error=ENOMEM").rules[0].ops & bit(Op::kFree)) == 0);
}

TEST_CASE("what is not understood is named, with its place") {
  struct Wrong {
    std::string text;
    size_t at;
  };
  const auto wrong = GENERATE(values<Wrong>({{"", 0},
                                             {"forks:error=ENOMEM", 0},
                                             {"free:error=ENOMEM", 0},
                                             {"fork", 4},
                                             {"fork:error=ENOMUM", 11},
                                             {"fork:error=0", 12},
                                             {"fork:error=4096", 15},
                                             {"fork:error=ENOMEM:when=0", 24},
                                             {"fork:error=ENOMEM:when=3..2", 27},
                                             {"fork:error=ENOMEM:when=2+0", 26},
                                             {"fork:error=ENOMEM:when=x", 23},
                                             {"fork:error=ENOMEM:size>=1T", 25},
                                             {"fork:error=ENOMEM:size>=99999999999999999999", 42},
                                             {"fork:error=ENOMEM;", 18},
                                             {"fork:error=ENOMEM:retval=0", 18}}));
  InjectSpec spec;
  const SpecError error = parse_inject(wrong.text.c_str(), spec);
  INFO(wrong.text << ": " << (error.what ? error.what : "understood"));
  REQUIRE(error.what != nullptr);
  CHECK(static_cast<size_t>(error.at - wrong.text.c_str()) == wrong.at);
}

TEST_CASE("more rules than there is room for are refused") {
  std::string text = "fork:error=ENOMEM";
  for (unsigned i = 1; i < kMaxInjectRules; ++i) text += ";fork:error=ENOMEM";
  CHECK(injected(text).count == kMaxInjectRules);
  InjectSpec spec;
  CHECK(parse_inject((text + ";fork:error=ENOMEM").c_str(), spec).what != nullptr);
}

TEST_CASE("a rehearsal names a mode and, if wanted, a limit") {
  RehearseSpec spec;
  CHECK(parse_rehearse("mode=2,limit=3G", spec).what == nullptr);
  CHECK(spec.mode == 2);
  CHECK(spec.limit_kb == 3u << 20);
  spec = {};
  CHECK(parse_rehearse("mode=0", spec).what == nullptr);
  CHECK(spec.limit_kb == kUnknown);
  for (const char* wrong : {"", "2", "mode=3", "mode=2,limit=", "mode=2,limit=3X",
                            "mode=2,limit=3G,x", "mode=2 limit=3G"}) {
    INFO(wrong);
    CHECK(parse_rehearse(wrong, spec).what != nullptr);
  }
}
