// SPDX-License-Identifier: MIT
//
// An entry of a recorded list of mappings, taken apart for tables.
#pragma once
#include <optional>
#include <string>

#include "tools/log/log_reader.h"
#include "tools/text/json_fwd.h"
#include "tools/text/output.h"

namespace ovc {

std::string permissions_text(const ovcshim::MappingEntry& mapping);  // "rw-p"
// A flag of smaps' VmFlags; nullopt if they were not read.
std::optional<bool> listed_flag(const ovcshim::MappingEntry& mapping, ovcshim::MappingFlag flag);
Json listed_json(const ovcshim::MappingEntry& mapping);

}  // namespace ovc
