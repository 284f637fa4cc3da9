// SPDX-License-Identifier: MIT
#include "tools/text/output.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <iterator>
#include <system_error>

#include "shim/format/log_format.h"
#include "tools/text/error.h"
#include "tools/text/progress.h"

namespace ovc {
namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;

// Length of the well-formed UTF-8 sequence at the start of `text`, and its code point; 0 if there
// is none.
size_t decode_utf8(std::string_view text, uint32_t& code) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  const size_t length = lead < 0x80                   ? 1
                        : lead >= 0xc2 && lead < 0xe0 ? 2
                        : lead >= 0xe0 && lead < 0xf0 ? 3
                        : lead >= 0xf0 && lead < 0xf5 ? 4
                                                      : 0;
  if (length == 0 || length > text.size()) return 0;
  code = length == 1 ? lead : lead & (0xffu >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3fu);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  return code < kSmallest[length] || code > 0x10ffff || surrogate ? 0 : length;
}

// Shown as it is. Not: controls, and invisible characters that can reorder or hide what stands
// around them.
bool is_harmless(uint32_t code) {
  struct Range {
    uint32_t first, last;
  };
  constexpr Range kHarmful[] = {{0, 0x1f},        {0x7f, 0x9f},     {0xad, 0xad},
                                {0x61c, 0x61c},   {0x180e, 0x180e}, {0x200b, 0x200f},
                                {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfe00, 0xfe0f},
                                {0xfeff, 0xfeff}, {0xfff0, 0xfffb}, {0xe0000, 0x10ffff}};
  return std::none_of(std::begin(kHarmful), std::end(kHarmful),
                      [=](Range r) { return code >= r.first && code <= r.last; });
}

void append_escape(std::string& out, unsigned char byte) {
  switch (byte) {
    case '\n': out += "\\n"; return;
    case '\t': out += "\\t"; return;
    case '\r': out += "\\r"; return;
    default: fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte);
  }
}

void append_safe(std::string& out, std::string_view raw, char quote) {
  while (!raw.empty()) {
    uint32_t code = 0;
    const size_t length = decode_utf8(raw, code);
    if (length == 0 || !is_harmless(code)) {
      for (size_t i = 0; i < std::max<size_t>(length, 1); ++i)
        append_escape(out, static_cast<unsigned char>(raw[i]));
    } else {
      if (code == '\\' || (quote && code == static_cast<unsigned char>(quote))) out += '\\';
      out += raw.substr(0, length);
    }
    raw.remove_prefix(std::max<size_t>(length, 1));
  }
}

int64_t floor_seconds(int64_t ns) { return ns / kNsPerSecond - (ns % kNsPerSecond < 0); }

// "14:23:33" of the second last asked for: localtime_r costs more than all the rest of a line.
std::string_view clock_of(int64_t second) {
  thread_local int64_t cached = INT64_MIN;
  thread_local std::string text;
  if (second == cached) return text;
  const time_t time = second;
  std::tm parts{};
  text = localtime_r(&time, &parts)
             ? fmt::format("{:02}:{:02}:{:02}", parts.tm_hour, parts.tm_min, parts.tm_sec)
             : "??:??:??";
  cached = second;
  return text;
}

// Characters of UTF-8 text; good enough for columns.
size_t columns(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

struct Scale {
  double unit;
  std::string_view name;
};

}  // namespace

bool is_closed_pipe(const std::exception& error) {
  const auto* system = dynamic_cast<const std::system_error*>(&error);
  return dynamic_cast<const ClosedPipe*>(&error) ||
         (system && system->code() == std::errc::broken_pipe);
}

Out::Out() : Out(STDOUT_FILENO, "standard output") {}

Out::Out(int fd, std::string name) : fd_(fd), name_(std::move(name)) {
  text_.reserve(kFull + 4096);
}

Out::~Out() {
  try {
    flush();
  } catch (...) {  // nobody is left to tell
  }
}

void Out::flush() {
  if (!text_.empty() && fd_ == STDOUT_FILENO) hide_progress();
  std::string_view rest = text_;
  while (!rest.empty()) {
    const ssize_t n = write(fd_, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int error = errno;
      text_.clear();
      if (error == EPIPE) throw ClosedPipe{};
      throw Error(fmt::format("cannot write to {}: {}", name_, strerror(error)));
    }
    rest.remove_prefix(static_cast<size_t>(n));
  }
  text_.clear();
}

void append_escaped(std::string& out, std::string_view raw) { append_safe(out, raw, '\0'); }

std::string escaped(std::string_view raw) {
  std::string out;
  append_escaped(out, raw);
  return out;
}

void append_quoted(std::string& out, std::string_view raw) {
  out += '"';
  append_safe(out, raw, '"');
  out += '"';
}

void append_number(std::string& out, uint64_t value) {
  const fmt::format_int text(value);
  out.append(text.data(), text.size());
}

void append_grouped(std::string& out, uint64_t value) {
  const fmt::format_int text(value);
  for (size_t i = 0; i < text.size(); ++i) {
    if (i != 0 && (text.size() - i) % 3 == 0) out += ',';
    out += text.data()[i];
  }
}

std::string grouped(uint64_t value) {
  std::string out;
  append_grouped(out, value);
  return out;
}

std::string counted(uint64_t count, std::string_view one) {
  return fmt::format("{} {}{}", grouped(count), one, count == 1 ? "" : "s");
}

std::string kb_text(uint64_t kb) {
  if (kb == ovcshim::kUnknown) return "unknown";
  if (kb == ovcshim::kInfinite) return "unlimited";
  return grouped(kb) + " kB";
}

std::string size_text(uint64_t bytes) {
  constexpr Scale kScales[] = {{1ull << 60, "EiB"}, {1ull << 50, "PiB"}, {1ull << 40, "TiB"},
                               {1ull << 30, "GiB"}, {1ull << 20, "MiB"}, {1ull << 10, "KiB"}};
  for (const Scale& scale : kScales)
    if (static_cast<double>(bytes) >= scale.unit)
      return fmt::format("{:.1f} {}", static_cast<double>(bytes) / scale.unit, scale.name);
  return fmt::format("{} B", bytes);
}

namespace {

// "2 min 5 s", "3 h 20 min", "8 d 4 h"
void append_long_duration(std::string& out, int64_t seconds) {
  constexpr struct {
    int64_t seconds, smaller;
    const char *name, *smaller_name;
  } kUnits[] = {{86400, 3600, "d", "h"}, {3600, 60, "h", "min"}, {60, 1, "min", "s"}};
  for (const auto& unit : kUnits) {
    if (seconds < unit.seconds) continue;
    fmt::format_to(std::back_inserter(out), "{} {} {} {}", seconds / unit.seconds, unit.name,
                   seconds % unit.seconds / unit.smaller, unit.smaller_name);
    return;
  }
}

}  // namespace

void append_duration(std::string& out, int64_t ns) {
  constexpr int64_t kLong = 120;
  if (ns / kNsPerSecond >= kLong) return append_long_duration(out, ns / kNsPerSecond);
  constexpr Scale kScales[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}};
  for (const Scale& scale : kScales) {
    const double value = static_cast<double>(ns) / scale.unit;
    if (value < 0.9995) continue;
    fmt::format_to(std::back_inserter(out), "{:.{}f} {}", value,
                   value < 9.995   ? 2
                   : value < 99.95 ? 1
                                   : 0,
                   scale.name);
    return;
  }
  fmt::format_to(std::back_inserter(out), "{} ns", ns);
}

std::string duration_text(int64_t ns) {
  std::string out;
  append_duration(out, ns);
  return out;
}

void append_clock(std::string& out, int64_t posix_ns, unsigned digits) {
  const int64_t second = floor_seconds(posix_ns);
  out += clock_of(second);
  auto fraction = static_cast<uint64_t>(posix_ns - second * kNsPerSecond);
  if (digits == 0) return;
  digits = std::min(digits, 9u);
  char text[10] = {'.'};
  for (unsigned i = 9; i > 0; --i, fraction /= 10) text[i] = static_cast<char>('0' + fraction % 10);
  out.append(text, digits + 1);
}

std::string clock_text(int64_t posix_ns, unsigned digits) {
  std::string out;
  append_clock(out, posix_ns, digits);
  return out;
}

std::string date_text(int64_t posix_ns) {
  const time_t time = floor_seconds(posix_ns);
  std::tm parts{};
  if (!localtime_r(&time, &parts)) return "unknown date";
  return fmt::format("{:%Y-%m-%d %H:%M:%S}", parts);
}

std::string iso_text(int64_t posix_ns) {
  const int64_t second = floor_seconds(posix_ns);
  const time_t time = second;
  std::tm parts{};
  if (!gmtime_r(&time, &parts)) return "";
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:09}Z", parts, posix_ns - second * kNsPerSecond);
}

std::string hex_text(uint64_t value) { return fmt::format("{:#x}", value); }

Table::Table(std::vector<std::string> heads, std::string right)
    : heads_(std::move(heads)), right_(std::move(right)) {
  right_.resize(heads_.size(), 'l');
}

void Table::row(std::vector<std::string> cells) {
  cells.resize(heads_.size());
  rows_.push_back(std::move(cells));
}

void Table::write(std::string& out, std::string_view indent) const {
  std::vector<size_t> width(heads_.size());
  const auto widen = [&](const std::vector<std::string>& cells) {
    for (size_t i = 0; i < cells.size(); ++i) width[i] = std::max(width[i], columns(cells[i]));
  };
  widen(heads_);
  for (const auto& cells : rows_) widen(cells);
  const auto write_row = [&](const std::vector<std::string>& cells) {
    std::string line(indent);
    for (size_t i = 0; i < cells.size(); ++i) {
      if (i != 0) line += "  ";
      const std::string padding(width[i] - columns(cells[i]), ' ');
      line += right_[i] == 'r' ? padding + cells[i] : cells[i] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  };
  write_row(heads_);
  for (const auto& cells : rows_) write_row(cells);
}

}  // namespace ovc
