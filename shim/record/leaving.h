// SPDX-License-Identifier: MIT
#pragma once

namespace ovcshim {

// `ovc detach`: the process lives on, and nothing more is known of it. Writes kEnd as that.
void leave_process();

}  // namespace ovcshim
