// SPDX-License-Identifier: MIT
//
// Was the shim loaded into a program that ran already? Then it is silent until `ovc attach` calls
// ovcshim_attach (attach.cc): no call of the program comes by it before.
#pragma once

namespace ovcshim {

bool is_loaded_late();
// From the constructor then.
void note_late();

}  // namespace ovcshim
