// SPDX-License-Identifier: MIT
#pragma once
#include <string>

#include "tools/causes/causes.h"

namespace ovc::causes {

// That it is not known whether the admin reserve holds for the caller; empty: it is known.
std::string admin_note(const Evidence& evidence);

}  // namespace ovc::causes
