# SPDX-License-Identifier: MIT
"""Control groups for single cases, of version 1 or 2, whichever has the controller here."""
import contextlib
import errno
import gzip
import os
import pathlib
import time


def mounted(controller):
    """(top, version) of the hierarchy that has the controller, or None."""
    version2 = None
    for line in open("/proc/self/mounts"):
        _, top, kind, options, *_ = line.split()
        if kind == "cgroup" and controller in options.split(","):
            return pathlib.Path(top), 1
        if kind == "cgroup2":
            version2 = version2 or pathlib.Path(top)
    if version2 and controller in (version2 / "cgroup.controllers").read_text().split():
        return version2, 2
    return None


def own_group(top, version, controller):
    """The group that this process is in; the top, where it sees only a part of the tree."""
    for line in open("/proc/self/cgroup"):
        number, controllers, path = line.rstrip("\n").split(":", 2)
        if controller in controllers.split(",") if version == 1 else number == "0":
            here = top / path.lstrip("/")
            return here if here.is_dir() else top
    return top


def parent_for(controller):
    """(folder, top, version) where groups with the controller can be made; None: nowhere here."""
    found = mounted(controller)
    if not found:
        return None
    top, version = found
    here = own_group(top, version, controller)
    # Version 2: a child has it only under a group that hands it on, which our own may not.
    while version == 2 and controller not in (here / "cgroup.subtree_control").read_text().split():
        if here == top:
            return None
        here = here.parent
    return here, top, version


class Group:
    """A group for one case, removed with it."""

    def __init__(self, row):
        self.path = self.top = None
        controller = "pids" if row.pids else "memory" if row.memory else None
        if controller is None:
            return
        parent, self.top, version = parent_for(controller)
        self.path = parent / f"ovcshim-case.{os.getpid()}"
        self.path.mkdir()
        if row.pids:
            (self.path / "pids.max").write_text(row.pids)
        elif version == 1:
            (self.path / "memory.oom_control").write_text("1")

    def join(self):
        if self.path:
            (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def remove(self):
        if self.path:
            remove_groups([*self.path.glob("inner"), self.path])


def leaves_kernel_memory_out():
    """A kernel that is built with the smallest of allocators; where it does not say how it was built it has another."""
    try:
        return b"\nCONFIG_SLOB=y" in gzip.open("/proc/config.gz").read()
    except OSError:
        return False


def unified_with_huge_pages():
    """Where version 2 is mounted, if it has the controller of huge pages and lets it be handed on."""
    for line in open("/proc/self/mounts"):
        _, point, kind, *_ = line.split()
        top = pathlib.Path(point)
        if kind == "cgroup2" and "hugetlb" in (top / "cgroup.controllers").read_text().split():
            with contextlib.suppress(OSError):
                (top / "cgroup.subtree_control").write_text("+hugetlb")
                return top
    return None


class HugeGroup:
    """Two groups, one in the other; the process is in the inner one, the limit on one of them."""

    def __init__(self, row):
        self.top = unified_with_huge_pages()
        self.path = self.top / f"ovcshim-case.{os.getpid()}"
        self.inner = self.path / "inner"
        self.path.mkdir()
        (self.path / "cgroup.subtree_control").write_text("+hugetlb")
        self.inner.mkdir()
        (self.inner if row.huge == "own" else self.path).joinpath("hugetlb.2MB.rsvd.max").write_text(str(4 << 20))

    def join(self):
        (self.inner / "cgroup.procs").write_text(str(os.getpid()))

    def remove(self):
        remove_groups([self.inner, self.path])


def remove_groups(folders):
    for folder in folders:
        for _ in range(500):
            try:
                folder.rmdir()
                break
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                time.sleep(0.01)  # its last processes are on their way out
