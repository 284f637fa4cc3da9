// SPDX-License-Identifier: MIT
#include "shim/sys/auxv.h"

namespace ovcshim {

constinit const uint64_t* g_auxv = nullptr;

}  // namespace ovcshim
