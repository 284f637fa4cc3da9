# SPDX-License-Identifier: MIT
"""The situations as a table. A row names the cause that it sets, the modes of vm.overcommit_memory it holds in, the steps that
make it, and the calls that are refused in it (words of tests/programs/refused.c). {names} are filled in at random.
The order in which the kernel checks is cited where two limits are passed at once: tests/cases must know it on its own."""
import errno
import random
from dataclasses import dataclass

import kinds
from rows import COPIES, MALLOCS, MAPS, TASKS, UNCHARGED, Row, with_amount


def limits():
    """RLIMIT_AS and RLIMIT_DATA: mm/vma.c may_expand_vm(), RLIMIT_AS first; brk looks at RLIMIT_DATA before all else."""
    over_as, over_data = "as+{over}", "data+{over}"
    yield Row("rlimit-as", ["limit:as:vmsize+{margin}"], with_amount(MAPS + UNCHARGED + ["sbrk", "brk"], over_as), exact=True)
    yield Row("rlimit-as", ["target:anon:{small}", "limit:as:vmsize+{margin}"],
              with_amount(["mremap", "mremap-stay"], over_as), exact=True)
    yield Row("rlimit-as", ["target:shared:{small}", "limit:as:vmsize+{margin}"], with_amount(["mremap"], over_as), exact=True)
    # MAP_FIXED over the end of the target: only what it adds counts.
    yield Row("rlimit-as", ["gap:8G", "target:anon:60M", "ungap", "limit:as:vmsize+{margin}"],
              with_amount(["mmap-over"], over_as), exact=True)
    yield Row("rlimit-as", ["limit:as:vmsize+{margin}"], with_amount(MALLOCS, over_as))
    yield Row("rlimit-as", ["block:{small}", "limit:as:vmsize+{margin}"], with_amount(["realloc", "reallocarray"], over_as))
    yield Row("rlimit-as", ["limit:as:vmsize+{tight}"], with_amount(["malloc-small"], "16K"))
    yield Row("rlimit-as", ["limit:as:vmsize+{margin}"], with_amount(["pthread_create"], "as+{big}"), err=errno.EAGAIN)
    yield Row("rlimit-as", ["limit:as:vmsize+4M"], ["pthread_create"], err=errno.EAGAIN, bare=True)
    yield Row("rlimit-data", ["limit:data:vmdata+{margin}"],
              with_amount(["mmap", "mmap-file", "mmap-noreserve", "brk", "sbrk"], over_data), exact=True)
    yield Row("rlimit-data", ["target:anon:{small}", "limit:data:vmdata+{margin}"], with_amount(["mremap"], over_data),
              exact=True)
    yield Row("rlimit-data", ["gap:8G", "target:anon:60M", "ungap", "limit:data:vmdata+{margin}"],
              with_amount(["mmap-over"], over_data), exact=True)
    yield Row("rlimit-data", ["target:none:300M", "limit:data:vmdata+{tight}"], ["mprotect"])
    yield Row("rlimit-data", ["target:rofile:300M", "limit:data:vmdata+{tight}"], ["mprotect"])
    yield Row("rlimit-data", ["limit:data:vmdata+{margin}"], with_amount(MALLOCS, over_data))
    yield Row("rlimit-data", ["block:{small}", "limit:data:vmdata+{margin}"], with_amount(["realloc"], over_data))
    yield Row("rlimit-data", ["limit:data:vmdata+{tight}"], with_amount(["malloc-small"], "16K"))
    yield Row("rlimit-data", ["limit:data:vmdata+{margin}"], with_amount(["pthread_create"], "data+{big}"), err=errno.EAGAIN)
    # The stack is mapped: sysdeps/unix/sysv/linux/spawni.c
    yield Row("rlimit-as", ["limit:as:vmsize+4K"], ["posix_spawn", "posix_spawnp"])
    yield Row("rlimit-data", ["limit:data:vmdata+4K"], ["posix_spawn", "posix_spawnp"])


def two_limits():
    both = ["limit:data:vmdata+{margin}", "limit:as:vmsize+{margin}"]
    yield Row("rlimit-as", both, with_amount(["mmap", "mmap-noreserve", "mmap-shared"], "700M"), decoy=True)
    yield Row("rlimit-data", ["heap:64M", "limit:data:vmdata+1M", "limit:as:vmsize+1M"], ["sbrk:100M", "brk:100M"], decoy=True)
    yield Row("rlimit-as", ["map:anon:200M", "limit:data:vmdata+1M", "limit:as:vmsize+1M"], ["sbrk:10M"], decoy=True, bare=True)
    yield Row("rlimit-as", ["target:anon:1M", "wall", "limit:as:vmsize+1M"], ["mremap-stay:8M"], decoy=True)
    yield Row("rlimit-as", ["limit:as:vmsize+{margin}"], ["mmap:ram+1G", "mmap:room+1G"], decoy=True)
    yield Row("rlimit-data", ["limit:data:vmdata+{margin}"], ["mmap:ram+1G", "mmap-noreserve:ram+1G"], decoy=True)
    yield Row("rlimit-data", ["target:none:400M", "hole:100M", "limit:data:vmdata+100M"], ["mprotect"], decoy=True)
    yield Row("rlimit-memlock", ["nocaps", "limit:memlock:64K", "limit:as:vmsize+{margin}"], ["mmap-locked:as+1M"],
              err=errno.EAGAIN, decoy=True)
    yield Row("max-map-count", ["limit:as:vmsize+400M", "many:1"], ["mmap:as+1M"], decoy=True)
    yield Row("rlimit-as", ["heap:1M", "many:1", "limit:as:vmsize+1M"], ["brk:as+1M"], decoy=True)
    yield Row("rlimit-as", ["target:anon:1M", "wall", "many:-2", "limit:as:vmsize+1M"], ["mremap:as+1M"], decoy=True)
    yield Row("address-space", ["target:anon:1M", "wall", "many:-2"], ["mremap-stay:1M"], decoy=True)
    yield Row("bad-argument", ["target:ro:4M", "hole:2M", "many:0"], ["mprotect"], decoy=True)


def locked():
    """mm/mmap.c mlock_future_ok(); brk reports it as ENOMEM."""
    for who in (["nocaps"], ["uid:{uid}"]):
        limit = who + ["limit:memlock:vmlck+{lockable}"]
        again = {"err": errno.EAGAIN}
        yield Row("rlimit-memlock", limit, with_amount(["mmap-locked"], "lock+{over}"), exact=True, **again)
        yield Row("rlimit-memlock", limit + ["lockfuture"], with_amount(["mmap", "mmap-none", "mmap-shared"], "lock+{over}"),
                  exact=True, **again)
        yield Row("rlimit-memlock", ["target:locked:16K"] + limit, with_amount(["mremap"], "lock+{over}"), exact=True, **again)
        yield Row("rlimit-memlock", ["heap:1M"] + limit + ["lockfuture"], with_amount(["brk", "sbrk"], "lock+{over}"))
        yield Row("rlimit-memlock", limit + ["lockfuture"], with_amount(["brk", "sbrk"], "lock+{over}"))
        # In a second thread's arena malloc leaves errno as mmap set it.
        yield Row("rlimit-memlock", limit + ["lockfuture"], with_amount(["malloc", "calloc"], "lock+{over}"),
                  err=(errno.ENOMEM, errno.EAGAIN))
        yield Row("rlimit-memlock", limit + ["lockfuture"], with_amount(["pthread_create"], "lock+{over}"), **again)
        yield Row("rlimit-memlock", limit, with_amount(["mlock"], "lock+{over}"), exact=True)
        yield Row("rlimit-memlock", who + ["limit:memlock:64K"], ["mlockall"])
    yield Row("rlimit-memlock", ["nocaps", "limit:memlock:0K"], ["mmap-locked:{small}", "mlock:{small}", "mlockall"], err=errno.EPERM)


def overcommit():
    """Mode 2: charge + Committed_AS < CommitLimit - reserves. Mode 0: no single request larger than RAM and swap."""
    mode2 = {"modes": "2", "far": "64G"}
    beyond = "room+{beyond}"
    yield Row("commit-limit", [], with_amount(MAPS + ["mmap-noreserve", "brk", "sbrk", "shmget", "mmap-by-number"] + MALLOCS, beyond), **mode2)
    yield Row("commit-limit", ["target:anon:{small}"], with_amount(["mremap"], beyond), **mode2)
    yield Row("commit-limit", ["gap:64G", "target:anon:{small}", "ungap"], with_amount(["mremap-stay"], beyond), **mode2)
    yield Row("commit-limit", ["gap:64G", "target:anon:60M"], with_amount(["mmap-over"], beyond), **mode2)
    yield Row("commit-limit", ["block:{small}"], with_amount(["realloc", "reallocarray"], beyond), **mode2)
    yield Row("commit-limit", ["target:none:room+{beyond}"], ["mprotect"], **mode2)
    yield Row("commit-limit", ["target:rofile:room+{beyond}"], ["mprotect"], **mode2)
    yield Row("commit-limit", [], with_amount(["pthread_create"], beyond), err=errno.EAGAIN, **mode2)
    yield Row("commit-limit", [], ["pthread_create", "thrd_create"], err=errno.EAGAIN, stack="6G", **mode2)
    for carried in (["map:anon:{carry}"], ["map:anon:{carry}:40"], ["map:file:{carry}"], ["heap:{carry}"], ["malloc:{carry}:8"],
                    ["map:noreserve:{carry}"], ["map:wipe:{carry}"], ["map:shared:{part}", "map:anon:{part}"]):
        yield Row("commit-limit", carried, COPIES, **mode2)
    # Another limit near or passed, but checked later or not by this call.
    late = {"decoy": True, **mode2}
    yield Row("commit-limit", ["deadinit", "map:anon:{carry}"], COPIES, **late)
    yield Row("commit-limit", ["map:anon:{carry}"], COPIES, pids="1", **late)
    yield Row("commit-limit", ["map:anon:{carry}", "limit:as:vmsize", "limit:data:vmdata", "nocaps", "limit:memlock:0K"],
              COPIES, **late)
    yield Row("rlimit-nproc", ["map:anon:{carry}", "uid:{uid}", "limit:nproc:1"], COPIES, err=errno.EAGAIN, **late)
    yield Row("commit-limit", ["limit:as:vmsize+12G", "limit:data:vmdata+12G"], ["mmap:room+{beyond}"], **late)
    yield Row("commit-limit", ["target:none:room+1G", "hole:100M"], ["mprotect"], **late)
    yield Row("commit-limit", ["gap:64G", "target:anon:1M", "ungap", "many:-2"], ["mremap:room+{beyond}"], **late)
    yield Row("commit-limit", ["map:dontfork:700M", "map:anon:{part}", "map:shared:{part}"], COPIES[:2], **late)
    yield Row("commit-limit", ["target:anon:{carry}"], ["mremap-copy"], **mode2)
    yield Row("commit-limit", [], ["mmap:room+{inside}", "mmap:room-{inside}"], borderline=True, **mode2)
    mode0 = {"modes": "0", "far": "900G"}
    huge = "ram+{over}"
    yield Row("single-request-over-ram-and-swap", [], with_amount(MAPS + ["brk", "sbrk", "shmget", "mmap-by-number"], huge), exact=True, **mode0)
    yield Row("single-request-over-ram-and-swap", [], with_amount(MALLOCS, huge), **mode0)
    yield Row("single-request-over-ram-and-swap", ["target:anon:{small}"], with_amount(["mremap"], huge), exact=True, **mode0)
    yield Row("single-request-over-ram-and-swap", ["gap:400G", "target:anon:60M"], with_amount(["mmap-over"], huge), exact=True,
              **mode0)
    yield Row("single-request-over-ram-and-swap", ["block:{small}"], with_amount(["realloc"], huge), **mode0)
    yield Row("single-request-over-ram-and-swap", ["target:none:ram+{over}"], ["mprotect"], **mode0)
    yield Row("single-request-over-ram-and-swap", [], with_amount(["pthread_create"], "ram+{big}"), err=errno.EAGAIN, **mode0)
    for made in (["mode:1", "map:anon:ram+{over}", "mode:0"], ["mode:1", "heap:ram+1G", "mode:0"],
                 ["map:anon:{halfram}", "map:anon:{halfram}"], ["mode:1", "map:file:ram+{over}", "mode:0"]):
        yield Row("single-request-over-ram-and-swap", made, COPIES, **mode0)
    less = {"estimate": True, **mode0}
    yield Row("single-request-over-ram-and-swap", [], with_amount(MAPS + MALLOCS + ["brk", "sbrk", "shmget"], "ram-4K"), **less)
    yield Row("single-request-over-ram-and-swap", ["mode:1", "map:anon:ram-4K", "mode:0"], COPIES, **less)
    late = {"decoy": True, **mode0}
    yield Row("single-request-over-ram-and-swap", ["map:noreserve:90G", "map:dontfork:{halfram}"], ["mmap:ram+4K"], **late)
    yield Row("single-request-over-ram-and-swap", ["mode:1", "map:anon:ram+1G", "mode:0"], COPIES[:2], pids="1", **late)
    yield Row("single-request-over-ram-and-swap", ["deadinit", "mode:1", "map:anon:ram+1G", "mode:0"], COPIES[:2], **late)


def tasks():
    """kernel/fork.c copy_process(): RLIMIT_NPROC, threads-max, memory, pid numbers and their namespace, pids.max."""
    again = {"err": errno.EAGAIN}
    yield Row("rlimit-nproc", ["uid:{uid}", "limit:nproc:1"], TASKS, **again)
    yield Row("rlimit-nproc", ["uid:{uid}", "tasks:{few}", "limit:nproc:2"], TASKS, pids="max", **again)
    yield Row("pids-max", [], TASKS, pids="1", **again)
    yield Row("pids-max", ["tasks:{few}", "write:{group}/pids.max:1"], TASKS, pids="max", **again)
    # Before glibc 2.37 popen says ENOMEM whatever it was (bug 29016).
    lost = {"err": (errno.ENOMEM, errno.EAGAIN)}
    yield Row("rlimit-nproc", ["uid:{uid}", "limit:nproc:1"], ["popen"], **lost)
    yield Row("pids-max", [], ["popen"], pids="1", **lost)
    yield Row("pidns-init-dead", ["deadinit"], ["popen"])
    yield Row("pidns-init-dead", ["deadinit"], [call for call in TASKS if call != "pthread_create"])
    yield Row("pid-max", ["pidmax:301"], TASKS, pids="max", **again)
    late = {"decoy": True, **again}
    yield Row("rlimit-nproc", ["uid:{uid}", "limit:nproc:1"], TASKS, pids="1", **late)
    yield Row("rlimit-nproc", ["strangerefused", "uid:{uid}", "limit:nproc:1"], TASKS, pids="2", **late)
    yield Row("pids-max", ["limit:nproc:1", "limit:as:vmsize", "limit:data:vmdata"], COPIES, pids="1", **late)
    # Root of the host, but in a user namespace that does not say so: whether RLIMIT_NPROC applied cannot be told.
    yield Row("pids-max", ["userns", "limit:nproc:1"], ["fork"], modes="0", pids="1", **late)
    yield Row("pids-max", ["map:noreserve:90G"], COPIES[:2], modes="01", pids="1", **late)
    yield Row("pidns-init-dead", ["deadinit", "write:{group}/pids.max:1"], COPIES + ["vfork"], pids="max", decoy=True)
    yield Row("pid-max", ["pidmax:301", "write:{group}/pids.max:300"], COPIES + ["vfork"], pids="max", **late)
    # A full group whose OOM killer cannot help (mm/memcontrol.c mem_cgroup_oom()), with room left for what a snapshot reads:
    # too little for a copy of a process, enough for a thread.
    yield Row("memcg", ["fill:{group}:12"], COPIES, memory=True, bare=True)


def shown_otherwise():
    """What the process is shown is not what the kernel goes by: lxcfs over /proc/meminfo, groups in groups, and a part of
    their tree as in a container without a cgroup namespace."""
    again = {"err": errno.EAGAIN}
    few = COPIES[:4] + ["pthread_create", "vfork", "posix_spawn"]
    yield Row("pidns-init-dead", ["map:anon:3G", "fakemem:2G", "deadinit"], COPIES[:3], modes="01", decoy=True)
    yield Row("rlimit-as", ["fakemem:2G", "limit:as:vmsize+3G"], ["mmap:as+1M"], decoy=True, bare=True, exact=False)
    yield Row("single-request-over-ram-and-swap", ["fakemem:2G"], ["mmap:9000G"], modes="0", far="9900G", decoy=True)
    yield Row("rlimit-nproc", ["uid:{uid}", "tasks:{few}", "limit:nproc:2"], few, **again)
    inner = ["nest:{group}", "tasks:{few}", "write:{group}/pids.max:1"]
    yield Row("pids-max", inner, few, pids="max", **again)
    shown = inner + ["shift:{group}:{top}"]
    yield Row("pids-max", shown, few, pids="max", **again)
    # No tasks of root's here: they would outlive a parent that has become somebody else.
    user = ["uid:{uid}", "limit:nproc:100"]
    yield Row("pids-max", ["nest:{group}", "write:{group}/pids.max:1", "shift:{group}:{top}"] + user, few, pids="max",
              decoy=True, bare=True, **again)
    yield Row("pids-max", user, few, pids="1", decoy=True, **again)
    yield Row("rlimit-nproc", ["nest:{group}", "shift:{group}:{top}", "uid:{uid}", "tasks:{few}", "limit:nproc:2"],
              few, pids="max", decoy=True, **again)


def mappings():
    yield Row("max-map-count", ["many:1"], ["mmap:4K", "mmap-shared:1M", "brk:1M", "malloc:1M"])
    yield Row("max-map-count", ["target:anon:12K", "many:0"], ["munmap-split", "mprotect-split"])
    # Older kernels look at the count before they split, and say ENOMEM (4.19, mm/madvise.c madvise_behavior()).
    yield Row("max-map-count", ["target:anon:12K", "many:0"], ["madvise-split"], err=(errno.EAGAIN, errno.ENOMEM))
    yield Row("max-map-count", ["target:anon:12K", "wall", "many:-2"], ["mremap:1M"])
    yield Row("max-map-count", ["many:1"], ["pthread_create:1M"], err=errno.EAGAIN)


def address_space():
    """mm/mmap.c get_unmapped_area(), brk(), mm/mremap.c: before any of the limits, except RLIMIT_DATA for brk."""
    far = {"far": "900T"}
    yield Row("address-space", [],
              with_amount(["mmap-none", "mmap", "mmap-noreserve", "malloc", "posix_memalign"], "200T"), **far)
    yield Row("address-space", [], with_amount(["mmap-none"], "120T"), **far)
    yield Row("address-space", ["target:anon:{small}"], ["mremap:120T"], **far)
    yield Row("address-space", [], ["pthread_create:200T"], err=errno.EAGAIN, **far)
    yield Row("address-space", ["target:anon:{small}", "wall"], ["mremap-stay:{small}"])
    yield Row("address-space", ["heap:1M", "ceiling:{small}"], ["brk:300M", "sbrk:300M"])
    yield Row("address-space", ["ceiling:{small}"], ["brk:300M"])


def arguments():
    table = {
        errno.EINVAL: ["mmap-huge-size", "mmap-huge-file", "mmap-huge-offset", "mmap-validate-anon", "mmap-growsdown-file",
                       "mprotect-nothing", "mprotect-unknown", "mprotect-key", "mprotect-growsdown", "mprotect-growsup",
                       "mremap-shared-flag", "mremap-private-zero", "mremap-fixed-stays", "mremap-new-unaligned",
                       "mremap-outside", "mremap-overlap", "mremap-huge", "munmap-huge", "shmget-empty", "shmget-huge-size",
                       "mmap-empty", "mmap-no-type", "mmap-unaligned", "mmap-offset", "mprotect-unaligned", "mprotect-prot",
                       "munmap-unaligned", "munmap-empty", "munmap-outside", "mremap-empty", "mremap-flags", "mremap-unaligned",
                       "mremap-copy-grow", "clone-sighand", "clone-thread", "clone-newns-fs", "clone-no-stack",
                       "clone-no-function", "posix_memalign-3", "posix_memalign-4"],
        errno.EOVERFLOW: ["mmap-overflow"],
        errno.EBADF: ["mmap-no-file", "mmap-o-path", "mmap-negative"],
        errno.EACCES: ["mmap-not-writable", "mprotect-not-writable"],
        errno.ENODEV: ["mmap-directory", "mmap-pipe"],
        errno.EFAULT: ["mremap-unmapped", "mremap-across", "mremap-vdso"],
        errno.ENOMEM: ["mprotect-wraps", "mprotect-hole", "mprotect-unmapped", "madvise-hole", "malloc-huge", "calloc-overflow", "realloc-huge",
                       "reallocarray-overflow"],
    }
    more = {
        errno.EINVAL: ["clone3-no-size", "clone-ipc-sysvsem", "clone-thread-elsewhere"],
        errno.ENOMEM: ["mlock-no-access", "mlock-beyond-file", "mlock-hole"],
        errno.E2BIG: ["clone3-large"],
        errno.EBADF: ["clone3-group"],
    }
    for err, calls in [*table.items(), *more.items()]:
        yield Row("bad-argument", [], calls, err=err, bare=err in more and calls is more[err])
    yield Row("bad-argument", ["uid:{uid}"], ["mmap-low", "clone-newnet", "clone-newpid"], err=errno.EPERM)


def reasons():
    """An errno with several sources, told apart by what was recorded (tests/programs/refused_errno_table.h, kernel sources there)."""
    denied = {"err": errno.EACCES, "since": (6, 3)}
    yield Row("memory-deny-write-execute", [], ["mmap-mdwe", "mmap-mdwe-file", "mprotect-mdwe", "mprotect-mdwe-write"], **denied)
    yield Row("bad-argument", [], ["mmap-mdwe-read-only"], decoy=True, **denied)
    yield Row("bad-argument", [], ["mmap-write-only", "mprotect-noexec"], err=errno.EACCES, decoy=True)
    # Huge pages are never charged: neither mode 2 nor the size of the machine has to do with it (mm/vma.c accountable_mapping()).
    yield Row("huge-page-pool", [], ["mmap-huge-memfd", "mmap-huge-mount", "mmap-huge-mount-full", "shmget-huge"], far="900G")
    yield Row("namespace-limit", [], ["clone-newuser-none", "clone-newuts-none", "unshare-newuser-none"], err=errno.ENOSPC, bare=True)
    yield Row("not-permitted", [], ["unshare-chroot", "setns", "shmget-huge-user"], err=errno.EPERM, bare=True)
    yield Row("bad-argument", [], ["unshare-newnet", "mmap-noexec", "mmap-sealed-file"], err=errno.EPERM, bare=True)
    yield Row("argument-list-too-long", [], ["exec-one-long", "exec-all-long"], err=errno.E2BIG, bare=True)
    yield Row("rlimit-nproc", [], ["exec-nproc"], err=errno.EAGAIN, bare=True)
    yield Row("shm-limit", [], ["shmget-shmmax"], err=errno.EINVAL, bare=True)
    yield Row("shm-limit", [], ["shmget-shmall", "shmget-shmmni"], err=errno.ENOSPC, bare=True)
    yield Row("file-system-full", [], ["fallocate-full"], err=errno.ENOSPC, bare=True)


SOURCES = [limits, two_limits, locked, overcommit, tasks, shown_otherwise, mappings, address_space, arguments, reasons, *kinds.SOURCES]

# What may have happened before without being the cause. name: steps, modes, causes in whose rows it would be one
BEFORE = {
    "heap": (["heap:{small}"], "012", ()),
    "blocks": (["malloc:{small}:9"], "012", ()),
    "pieces": (["map:anon:{pieces}:60"], "012", ()),
    "file": (["map:file:{small}", "map:rofile:{small}"], "012", ()),
    "threads": (["threads:2"], "012", ("rlimit-nproc", "pids-max")),
    "child": (["child"], "012", ("pids-max", "rlimit-nproc")),
    "thread": (["thread"], "012", ("pids-max", "rlimit-nproc")),
}
DECOYS = {
    "as far": (["limit:as:vmsize+{far}"], "012", ("rlimit-as", "address-space")),
    "data far": (["limit:data:vmdata+{far}"], "012", ("rlimit-data", "address-space")),
    "memlock small": (["limit:memlock:64K"], "012", ("rlimit-memlock",)),
    "nproc of root": (["limit:nproc:1"], "012", ("rlimit-nproc",)),
    "noreserve": (["map:noreserve:70G"], "01", ("address-space",)),
    "no access": (["map:none:400G"], "012", ("address-space",)),
    "shared": (["map:shared:300M"], "012", ()),
    "not copied": (["map:dontfork:200M"], "012", ()),
    "locked": (["map:locked:32K"], "012", ("rlimit-memlock",)),
}


class Amounts(dict):
    """Random amounts by name, each drawn once per case. What depends on the machine is in MiB."""

    def __init__(self, rng, far, room_mib, ram_mib, group):
        super().__init__(far=far, group=group and group.path, top=group and group.top, unified=group and group.top)
        self.draws = {
            "over": lambda: rng.choice(["4K", "8K", "60K", "1M", "33M", "200M"]),
            "big": lambda: rng.choice(["1M", "33M", "200M"]),
            "margin": lambda: f"{rng.randint(16, 500)}M",
            "tight": lambda: f"{rng.randint(1, 9)}M",
            "small": lambda: rng.choice(["64K", "1M", "12M", "60M"]),
            "pieces": lambda: rng.choice(["1M", "12M", "60M"]),
            "lockable": lambda: rng.choice(["64K", "256K", "1M"]),
            "beyond": lambda: f"{rng.randint(200, 3000)}M",
            "inside": lambda: rng.choice(["4K", "1M", "20M", "60M"]),
            "carry": lambda: f"{room_mib * rng.randint(57, 66) // 100}M",
            "part": lambda: f"{room_mib * rng.randint(36, 38) // 100}M",
            "halfram": lambda: f"{ram_mib * rng.randint(52, 60) // 100}M",
            "uid": lambda: str(rng.randint(61000, 64000)),
            "few": lambda: str(rng.randint(1, 5)),
        }

    def __missing__(self, name):
        self[name] = self.draws[name]()
        return self[name]


@dataclass
class Case:
    row: Row
    mode: int
    call: str
    before: list  # names of BEFORE and DECOYS
    seed: int

    def words(self, room_mib, ram_mib, group):
        """The arguments of refused, and the amounts drawn for them."""
        amounts = Amounts(random.Random(self.seed), self.row.far, room_mib, ram_mib, group)
        steps = [step for name in self.before for step in (BEFORE.get(name) or DECOYS[name])[0]]
        return [word.format_map(amounts) for word in steps + self.row.steps + [f"call:{self.call}"]], amounts

    def is_decoy(self):
        return self.row.decoy or any(name in DECOYS for name in self.before)


def fits(name, row, mode):
    _, modes, causes = BEFORE.get(name) or DECOYS[name]
    if row.bare or row.cause in causes or str(mode) not in modes:
        return False
    if name in DECOYS and row.decoy:
        return False  # its own limits are the point
    if row.stack and name in ("thread", "threads"):
        return False  # its stack would be refused
    if row.pids not in ("", "max") and name in ("child", "thread", "threads"):
        return False  # no room for it in the group
    return name != "nproc of root" or not any(step.startswith("uid") for step in row.steps)


# Limits last, then what goes on in another process or thread.
ORDER = sorted([*BEFORE, *DECOYS], key=lambda name: (name in ("child", "thread"), name.endswith("far")))


def all_cases(seed, count):
    """Every row with every call once, in one of its modes (a count of 0 ends here); then in the other modes; then all again.
    Each time with other amounts, and after other things."""
    rng = random.Random(seed)
    pairs = [(row, call, rng.sample(row.modes, len(row.modes))) for source in SOURCES for row in source() for call in row.calls]
    triples = [(row, call, modes[turn]) for turn in range(3) for row, call, modes in pairs if turn < len(modes)]
    wanted = count or len(pairs)
    cases = []
    while len(cases) < wanted:
        for row, call, mode in triples[: wanted - len(cases)]:
            names = [name for name in [*BEFORE, *DECOYS] if fits(name, row, mode)]
            before = rng.sample(names, min(len(names), rng.choice([0, 0, 1, 1, 2])))
            cases.append(Case(row, int(mode), call, sorted(before, key=ORDER.index), rng.getrandbits(32)))
    return cases
