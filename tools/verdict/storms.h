// SPDX-License-Identifier: MIT
//
// A storm: the same refusal again and again, of which only some could be proven.
#pragma once
#include <vector>

#include "tools/verdict/why_report.h"

namespace ovc {

// The same mmap, errno and site with nothing granted between: what refused one refused the others,
// also those for whose proof there was no time. They become one verdict.
void join_storms(const WhyScan& scan, std::vector<Verdict>& verdicts);

}  // namespace ovc
