// SPDX-License-Identifier: MIT
#include "tools/export/export_sqlite_readings.h"

#include "tools/log/log_readings.h"

namespace ovc {
namespace {

using namespace ovcshim;

class ReadingsTable {
 public:
  ReadingsTable(SqliteFile& file, const ExportWalk& walk, const ExportSource& source)
      : rows_(file, "readings"), walk_(walk), page_bytes_(source.page_bytes) {}

  void add(const KeptReading& r) {
    const Process* process = walk_.process(r.process.first, r.process.second);
    begin("first", r.tick);
    figure(r.committed_kb, 1024), figure(r.limit_kb, 1024);
    rows_.figure(process ? std::optional(uint64_t{process->slot.pid}) : std::nullopt);
    rows_.text_or_null(process ? process->comm() : "");
    for (const uint64_t pages : {r.vm_size_pages, r.resident_pages, r.data_pages})
      figure(pages, page_bytes_);
    rows_.row();
  }

  void add(std::string_view kind, const Extreme& extreme) {
    begin(kind, extreme.tick);
    figure(extreme.committed_kb, 1024);
    for (int unread = 0; unread < 6; ++unread) rows_.null();
    rows_.row();
  }

 private:
  void begin(std::string_view kind, uint64_t tick) {
    const int64_t time = walk_.log().posix_ns(tick);
    rows_.text(kind).text(iso_text(time)).integer(time);
  }
  void figure(uint64_t value, uint64_t unit) {
    rows_.figure(value < kInfinite ? std::optional(value * unit) : std::nullopt);
  }

  SqliteRows rows_;
  const ExportWalk& walk_;
  uint64_t page_bytes_;
};

}  // namespace

void write_readings_table(SqliteFile& file, const ExportWalk& walk, const ExportSource& source) {
  ReadingsTable table(file, walk, source);
  for (const ReadingsCell& cell : kept_readings(walk.log())) {
    if (cell.first) table.add(*cell.first);
    if (cell.lowest) table.add("lowest", *cell.lowest);
    if (cell.highest) table.add("highest", *cell.highest);
  }
}

}  // namespace ovc
