// SPDX-License-Identifier: MIT
//
// Who made the process grow: what each call adds to the area that is never overwritten
// (growth_format.h).
#pragma once
#include "shim/record/event.h"

namespace ovcshim {

// Before the call is made: what it takes away must not look like its own when another thread has
// mapped something there before it is back.
void growth_begins(Event& event);

// With its stack, when it has returned; a call of the fork family when it begins.
void note_growth(Event& event, const Record& record);

// One that was noted when it began has failed.
void note_failed_later(const Event& event);

}  // namespace ovcshim
