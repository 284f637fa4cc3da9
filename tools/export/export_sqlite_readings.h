// SPDX-License-Identifier: MIT
//
// The table `readings` of an SQLite export: what the log keeps of figures over time.
#pragma once
#include "tools/export/export_rows.h"
#include "tools/text/sqlite_file.h"

namespace ovc {

void write_readings_table(SqliteFile& file, const ExportWalk& walk, const ExportSource& source);

}  // namespace ovc
