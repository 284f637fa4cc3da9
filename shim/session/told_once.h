// SPDX-License-Identifier: MIT
//
// Has this tree of processes been told already? An image that is executed later knows nothing of
// the earlier one, and may not be told by its environment or a descriptor, which the program could
// see. So the first one that speaks leaves symbolic links to nowhere, ".ovcshim-told.WHAT.PID" with
// the start time of the process PID in it: for itself, and for the farthest process above it that
// has the shim, too. In /var/tmp, else /tmp, else /dev/shm; the next one that leaves some takes
// away those of processes that are gone. Where none can be left, a process beneath one that has the
// shim says nothing. A daemon whose parents are gone speaks for itself.
#pragma once

namespace ovcshim {

// `what` is told once: "log", "rule".
bool is_first_to_tell(const char* what);

// It could not be said here: another process of the tree may.
void leave_it_to_others(const char* what);

}  // namespace ovcshim
