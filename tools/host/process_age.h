// SPDX-License-Identifier: MIT
//
// Since when a process lives, by the kernel's own clock: /proc/uptime is another thing in a
// container whose /proc somebody has mounted over (lxcfs).
#pragma once

namespace ovc {

// Seconds since the process was forked; `start_ticks`: field 22 of /proc/PID/stat, ticks since boot
// in the caller's time namespace (fs/proc/array.c do_task_stat()). Never negative.
double process_age(unsigned long start_ticks);

}  // namespace ovc
