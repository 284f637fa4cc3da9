// SPDX-License-Identifier: MIT
//
// What is mapped when an image starts, read once for both that need it: its list of objects and its
// list of mappings. In memory that nothing else uses before the process is entered.
#pragma once
#include "shim/format/attach_order.h"
#include "shim/record/state.h"

#pragma GCC visibility push(hidden)

namespace ovcshim {

struct ImageList {
  ClockPair before{};  // just before it was read
  ReadPart part{};     // entries 0: to be read anew, there were too many, or there is no smaps
};

// False: `objects` is not filled.
bool read_image(ImageList& list, ModuleTable& objects);
const MappingEntry* image_entries();
void forget_image_entries(const ImageList& list);  // the memory is what it was

}  // namespace ovcshim

#pragma GCC visibility pop
