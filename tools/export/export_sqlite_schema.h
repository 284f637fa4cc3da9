// SPDX-License-Identifier: MIT
//
// The tables of an SQLite export that are not made from export_columns(), and the views for the
// common questions.
#pragma once

namespace ovc {

extern const char* const kExportTables;
extern const char* const kExportViews;  // and indexes; made when the tables are full

}  // namespace ovc
