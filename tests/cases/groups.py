# SPDX-License-Identifier: MIT
"""Control groups for single cases, of version 1 or 2, whichever has the controller here."""
import errno
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
        for _ in range(500 if self.path else 0):
            try:
                for inner in self.path.glob("inner"):
                    inner.rmdir()
                return self.path.rmdir()
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                time.sleep(0.01)  # its last processes are on their way out
