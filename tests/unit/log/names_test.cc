// SPDX-License-Identifier: MIT
#include "tools/log/names.h"

#include <set>
#include <type_traits>

#include "tests/unit/catch.h"
#include "tools/text/json.h"
#include "tools/text/output.h"

using namespace ovc;

namespace {

template <typename Value>
std::string text_of(void (*append)(std::string&, Value), std::type_identity_t<Value> value) {
  std::string out;
  append(out, value);
  return out;
}

}  // namespace

TEST_CASE("flags have the names of their headers") {
  CHECK(text_of(append_prot, 0) == "PROT_NONE");
  CHECK(text_of(append_prot, 3) == "PROT_READ|PROT_WRITE");
  CHECK(text_of(append_mmap_flags, 0x22) == "MAP_PRIVATE|MAP_ANONYMOUS");
  CHECK(text_of(append_mmap_flags, 0x4022) == "MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE");
  CHECK(text_of(append_mmap_flags, 0x22 | 0x40000 | uint64_t{21} << 26) ==
        "MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB|21<<MAP_HUGE_SHIFT");
  CHECK(text_of(append_madvise, 10) == "MADV_DONTFORK");
  CHECK(text_of(append_clone_flags, 0x01200011) ==
        "CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD");
  CHECK(text_of(append_clone_flags, 0) == "0");
  CHECK(text_of(append_mremap_flags, 1) == "MREMAP_MAYMOVE");
  CHECK(text_of(append_wait_options, 1) == "WNOHANG");
}

TEST_CASE("what has no name is printed in hex") {
  CHECK(text_of(append_prot, 0x40) == "0x40");
  CHECK(text_of(append_prot, 0x41) == "PROT_READ|0x40");
  CHECK(text_of(append_mmap_flags, 0x4000000000000007) == "0x7|0x4000000000000000");
  CHECK(text_of(append_madvise, 77) == "0x4d");
  CHECK(errno_name(4242) == "errno 4242");
  CHECK(signal_name(77) == "signal 77");
}

TEST_CASE("errors, signals and ends have their names") {
  CHECK(errno_name(12) == "ENOMEM");
  CHECK(errno_name(11) == "EAGAIN");
  CHECK(signal_name(9) == "SIGKILL");
  CHECK(signal_name(34) == "SIGRT_2");
  CHECK(text_of(append_wait_status, 0x300) == "exited, 3");
  CHECK(text_of(append_wait_status, 9) == "killed by SIGKILL");
  CHECK(text_of(append_wait_status, 0x8b) == "killed by SIGSEGV, core dumped");
}

TEST_CASE("each call stands in the table once, under its own name") {
  std::set<std::string_view> names;
  for (const OpInfo& info : all_ops()) {
    CHECK(names.insert(info.name).second);
    CHECK(op_info(info.op) == &info);
    CHECK(ops_named(info.name) == std::vector<Op>{info.op});
  }
  CHECK(op_info(static_cast<Op>(95)) == nullptr);
  CHECK(op_info(static_cast<Op>(60000)) == nullptr);
}

TEST_CASE("families name their calls") {
  CHECK(ops_named("%fork").size() == 15);
  CHECK(ops_named("%nothing").empty());
  CHECK(ops_named("nothing").empty());
}

TEST_CASE("hostile text cannot drive a terminal") {
  CHECK(escaped("plain ./path-1") == "plain ./path-1");
  CHECK(escaped("\x1b[31m") == "\\x1b[31m");
  CHECK(escaped("a\nb\tc\\") == "a\\nb\\tc\\\\");
  CHECK(escaped("gr\xc3\xbc\xc3\x9f") == "gr\xc3\xbc\xc3\x9f");
  CHECK(escaped("\xc2\x9b") == "\\xc2\\x9b");                             // CSI in one character
  CHECK(escaped("\xe2\x80\xae") == "\\xe2\\x80\\xae");                    // right-to-left override
  CHECK(escaped("\xff\xc3") == "\\xff\\xc3");                             // not UTF-8
  CHECK(escaped("\xc0\xaf\xed\xa0\x80") == "\\xc0\\xaf\\xed\\xa0\\x80");  // overlong, surrogate
  CHECK(escaped(std::string_view("\0", 1)) == "\\x00");
  CHECK(json_text(Json{{"x", "\x1b\xff"}}) == "{\"x\":\"\\u001b\\ufffd\"}");
}

TEST_CASE("figures") {
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(1000) == "1,000");
  CHECK(kb_text(1'073'741'828) == "1,073,741,828 kB");
  CHECK(kb_text(ovcshim::kUnknown) == "unknown");
  CHECK(kb_text(ovcshim::kInfinite) == "unlimited");
  CHECK(duration_text(812) == "812 ns");
  CHECK(duration_text(3'200'000) == "3.20 ms");
  CHECK(duration_text(999'999) == "1.00 ms");
  CHECK(duration_text(12'400'000'000) == "12.4 s");
  CHECK(duration_text(119'900'000'000) == "120 s");
  CHECK(duration_text(120'000'000'000) == "2 min 0 s");
  CHECK(duration_text(4'205'000'000'000) == "1 h 10 min");
  CHECK(duration_text(694'800'000'000'000) == "8 d 1 h");
  CHECK(size_text(1536) == "1.5 KiB");
  CHECK(iso_text(1'700'000'000'123'456'789) == "2023-11-14T22:13:20.123456789Z");
  CHECK(clock_text(1'700'000'000'123'456'789, 3).substr(8) == ".123");
}
