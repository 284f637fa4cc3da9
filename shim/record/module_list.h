// SPDX-License-Identifier: MIT
//
// The process's list of loaded objects and its copies in the log (kModule records). One list is one
// `image` number: a dlopen makes a new one.
#pragma once
#include "shim/record/image_list.h"
#include "shim/record/state.h"

namespace ovcshim {

// Reads the list of a new image and gives it a number. From the constructor. `list`: with the
// mappings.
void begin_image_modules(ImageList* list);
void write_modules();

// Before a record with a stack: writes the list again if the ring is about to pass it.
void keep_modules_known();

// Has the loader brought an object since? Then the list is read again. Two microseconds: called
// with every new reading of the commit state.
void notice_new_objects();

// A stack led to code that no known object holds: perhaps one was loaded since. Reads the list
// again, less and less often if that was not so (code made at run time). True if the list has
// changed.
// Forks are few and their stacks what the log is for: a server that has just loaded its modules and
// forks at once has it read sooner.
bool refresh_modules(bool for_fork);

}  // namespace ovcshim
