// SPDX-License-Identifier: MIT
//
// See finding_json.h.
#include "tools/causes/finding_json.h"

#include "tools/text/json.h"

namespace ovc {

Json mapping_json(const ovcshim::MappingEntry& mapping) {
  return {{"start", hex_text(mapping.start)},
          {"end", hex_text(mapping.end)},
          {"kb", (mapping.end - mapping.start) / 1024},
          {"kind", mapping_kind_text(mapping)}};
}

namespace {
Json refused_at_json(const RefusedAt& at) {
  Json json = {{"index", at.index}};
  json.update(mapping_json(at.mapping));
  return json;
}
}  // namespace

Json charge_json(const Charge& charge) {
  return {{"kb", charge.kb},
          {"mappings", charge.mappings ? Json(charge.mappings) : Json(nullptr)},
          {"biggest_kb", or_null(charge.biggest_kb)},
          {"refused_at", charge.refused_at ? refused_at_json(*charge.refused_at) : Json(nullptr)}};
}

Json mode2_json(const Mode2Verdict& v) {
  return {{"commit_limit_kb", v.limit_kb},        {"committed_as_kb", v.committed_kb},
          {"user_reserve_kb", v.user_reserve_kb}, {"admin_reserve_kb", v.admin_reserve_kb},
          {"allowed_kb", v.allowed_kb},           {"headroom_kb", v.headroom_kb},
          {"request_kb", v.request_kb},           {"short_kb", v.short_kb},
          {"counter_error_kb", v.band_kb}};
}

Json would_pass_json(const WouldPass& pass) {
  return {{"mode0", or_null(pass.mode0)},
          {"mode1", or_null(pass.mode1)},
          {"mode2", or_null(pass.mode2)},
          {"mode2_with",
           {{"overcommit_ratio", or_null(pass.mode2_with.ratio)},
            {"overcommit_kbytes", or_null(pass.mode2_with.overcommit_kbytes)},
            {"more_swap_mib", or_null(pass.mode2_with.more_swap_mib)}}},
          {"mode0_with", {{"more_swap_mib", or_null(pass.mode0_more_swap_mib)}}}};
}

}  // namespace ovc
