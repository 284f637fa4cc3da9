// SPDX-License-Identifier: MIT
//
// The shim's inline code, compiled with the hooks: see scheduler.h.
#pragma once
#include <cstdint>

namespace model {
void record_malloc(uint64_t address, uint64_t size, uint64_t caller);
void count_call(uint32_t row);
}  // namespace model
