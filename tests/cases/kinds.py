# SPDX-License-Identifier: MIT
"""More rows of the table (table.py), by kind of thing: locks, huge pages, namespaces, exec, and a /proc/meminfo that is not the
kernel's. Most need a fresh process and stand alone."""
import errno

from rows import Row, with_amount


def locked_by_any_door():
    """mlock, mlock2, mlockall, and MCL_FUTURE with what maps memory afterwards (mm/mlock.c)."""
    yield Row("rlimit-memlock", [], ["mlock-limit", "mlock2-limit", "mlockall-limit"], bare=True)
    yield Row("rlimit-memlock", [], ["mlock-zero", "mlockall-zero", "mmap-locked-zero"], err=errno.EPERM, bare=True)
    yield Row("rlimit-memlock", [], ["mmap-future", "mremap-future", "shmat-future"], err=errno.EAGAIN, bare=True)
    yield Row("max-map-count", [], ["mlock-mappings", "shmat-mappings"], bare=True)
    yield Row("rlimit-nofile", [], ["memfd-no-descriptor", "clone3-descriptors"], err=errno.EMFILE, bare=True)


HUGE = ["mmap-huge-private", "mmap-huge-shared", "mmap-huge-memory", "mmap-huge-memory-shared", "mmap-huge-on-mount",
        "shmget-huge-new"]


def huge_pages():
    """The group is asked before the pool, from its own group upwards (mm/hugetlb.c hugetlb_reserve_pages())."""
    calls = with_amount(HUGE, "20G")
    yield Row("huge-page-pool", [], calls, far="900G")
    yield Row("huge-page-group", [], calls, huge="own", bare=True)
    yield Row("huge-page-group", [], calls, huge="above", bare=True)
    yield Row("huge-page-group", ["shift:{group}:{unified}"], calls, huge="own", decoy=True, bare=True)
    yield Row("huge-page-group", ["shift:{group}:{unified}"], calls, huge="above", decoy=True, bare=True)
    yield Row("huge-page-group", ["fakemem:2G"], calls, huge="own", decoy=True, bare=True)
    yield Row("huge-page-pool", ["fakemem:2G"], calls, decoy=True, bare=True)


def made_executable():
    """PR_SET_MDWE: what is writable, and what was not executable before (include/linux/mman.h map_deny_write_exec())."""
    kinds = ["anon", "noreserve", "shared", "file", "sharedfile"]
    denied = {"err": errno.EACCES, "far": "900G", "since": (6, 3)}
    yield Row("memory-deny-write-execute", [], [f"mmap-denied:{kind}:1M" for kind in kinds], **denied)
    yield Row("memory-deny-write-execute", [], [f"mprotect-denied:{kind}:1M" for kind in [*kinds, "ro", "rofile"]], **denied)


def namespaces():
    """user.max_*_namespaces, none allowed or one that is there already (kernel/ucount.c inc_ucount())."""
    full = {"err": errno.ENOSPC, "bare": True}
    kinds = ["user", "mnt", "net", "ipc", "uts", "cgroup"]
    yield Row("namespace-limit", [], [f"unshare-none:{kind}" for kind in [*kinds, "pid", "time"]], **full)
    yield Row("namespace-limit", [], [f"unshare-full:{kind}" for kind in [*kinds[1:], "time"]], **full)
    yield Row("namespace-limit", [], [f"clone-none:{kind}" for kind in [*kinds, "pid"]], **full)


def programs():
    """execve(2): one string of more than 128 KiB, or all together more than a quarter of RLIMIT_STACK."""
    calls = ["execve-long", "execv-long", "execvp-long", "execvpe-long", "fexecve-long", "execveat-long", "posix_spawn-long"]
    too_long = {"err": errno.E2BIG, "bare": True}
    yield Row("argument-list-too-long", [], with_amount(calls, "1:200000"), **too_long)
    yield Row("argument-list-too-long", [], with_amount(calls, "2:140000"), **too_long)
    yield Row("argument-list-too-long", [], with_amount(calls, "90:100000"), **too_long)
    yield Row("argument-list-too-long", ["limit:stack:1M"], with_amount(calls, "4:100000"), **too_long)
    yield Row("file-system-full", [], [f"posix_fallocate-tmpfs:{size}" for size in ("1M:2M", "4M:900M", "64K:128K", "16M:20M", "8K:1G", "300K:301M")],
              err=errno.ENOSPC, bare=True)


def under_a_faked_meminfo():
    """Causes that have nothing to do with /proc/meminfo, while it says 2 GiB."""
    faked = {"decoy": True, "bare": True}
    few = ["fork", "clone", "pthread_create", "posix_spawn", "vfork"]
    again = {"err": errno.EAGAIN, **faked}
    yield Row("rlimit-data", ["fakemem:2G", "limit:data:vmdata+{margin}"], with_amount(["mmap", "sbrk", "malloc", "mmap-file"], "data+33M"),
              **faked)
    yield Row("rlimit-as", ["fakemem:2G", "limit:as:vmsize+{margin}"],
              with_amount(["mmap-none", "mmap-shared", "calloc", "memalign", "brk"], "as+33M"), **faked)
    yield Row("address-space", ["fakemem:2G"], ["mmap-none:200T", "mmap-noreserve:200T"], **faked)
    yield Row("max-map-count", ["fakemem:2G", "many:1"], ["mmap:4K", "brk:1M"], **faked)
    yield Row("rlimit-memlock", ["fakemem:2G", "nocaps", "limit:memlock:vmlck+1M"], ["mmap-locked:lock+1M"], **again)
    yield Row("pids-max", ["fakemem:2G"], few, pids="1", **again)
    yield Row("rlimit-nproc", ["fakemem:2G", "uid:{uid}", "limit:nproc:1"], few, **again)


SOURCES = [locked_by_any_door, huge_pages, made_executable, namespaces, programs, under_a_faked_meminfo]
