// SPDX-License-Identifier: MIT
//
// A fork's charge and the commit arithmetic as JSON: the same keys in every command. null: not
// known.
#pragma once
#include <optional>

#include "tools/causes/causes.h"
#include "tools/text/json.h"
#include "tools/text/output.h"

namespace ovc {

template <typename Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json mapping_json(const ovcshim::MappingEntry& mapping);
Json charge_json(const Charge& charge);
Json mode2_json(const Mode2Verdict& verdict);
Json would_pass_json(const WouldPass& pass);

}  // namespace ovc
