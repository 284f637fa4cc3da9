# SPDX-License-Identifier: MIT
"""A row of the table of situations, and the calls that stand in many of them."""
import errno
import os
from dataclasses import dataclass


MAPS = ["mmap", "mmap-stack", "mmap-shared", "mmap-file"]
UNCHARGED = ["mmap-none", "mmap-ro", "mmap-noreserve"]
MALLOCS = ["malloc", "calloc", "posix_memalign", "aligned_alloc", "memalign", "valloc"]
COPIES = ["fork", "_Fork", "clone", "clone-vfork", "clone-by-number", "clone3-by-number"]
try:
    for terminal in os.openpty():
        os.close(terminal)
    COPIES.append("forkpty")
except OSError:
    pass  # a bare chroot: no terminals
TASKS = COPIES + ["vfork", "clone-vm", "pthread_create"] + ["posix_spawn", "posix_spawnp"]


@dataclass
class Row:
    cause: str
    steps: list
    calls: list
    modes: str = "012"
    err: int | tuple = errno.ENOMEM
    decoy: bool = False  # another limit is as near, or passed too, and is not the one that refuses
    borderline: bool = False  # inside the error of the kernel's counter: may be granted
    far: str = "8G"  # a limit this far off is not reached
    pids: str = ""  # in a pids cgroup of its own with this limit (max: none), {group} is its directory
    huge: str = ""  # in two hugetlb cgroups, {group} is the outer one's directory: a limit on its "own" or the one "above"
    memory: bool = False  # in a memory cgroup of its own, {group} is its directory
    stack: str = ""  # RLIMIT_STACK at the start
    bare: bool = False  # nothing may come before: the steps need a fresh process
    exact: bool = False  # short_by is {over}
    since: tuple = (0, 0)  # the first kernel that has it
    estimate: bool = False  # where a request is compared with free memory, as in mode 0 before 5.2


def with_amount(calls, amount):
    return [f"{call}:{amount}" for call in calls]
