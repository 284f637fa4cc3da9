// SPDX-License-Identifier: MIT
#include "tools/text/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

namespace ovc {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kShortWork = 1s, kBetween = 100ms;
constexpr std::string_view kErase = "\r\x1b[K";

struct Reading {
  bool told = false, shown = false;
  uint64_t bytes = 0;
  Clock::time_point begun, next;
};
Reading reading;

void write_error(std::string_view text) {
  if (write(STDERR_FILENO, text.data(), text.size()) < 0) reading.told = false;
}

}  // namespace

LogProgress::LogProgress() {
  const char* term = getenv("TERM");
  const bool erases = isatty(STDERR_FILENO) && term && *term && std::string_view(term) != "dumb";
  reading = {erases, false, 0, Clock::now(), Clock::now() + kShortWork};
}

LogProgress::~LogProgress() {
  hide_progress();
  reading.told = false;
}

void note_read(uint64_t bytes) {
  if (!reading.told) return;
  reading.bytes += bytes;
  const auto now = Clock::now();
  if (now < reading.next) return;
  reading.next = now + kBetween;
  reading.shown = true;
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(now - reading.begun).count();
  write_error(fmt::format("{}ovc: reading, {} s, {} MiB", kErase, seconds, reading.bytes >> 20));
}

void hide_progress() {
  if (std::exchange(reading.shown, false)) write_error(kErase);
}

}  // namespace ovc
