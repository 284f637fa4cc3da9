// SPDX-License-Identifier: MIT
#include "tools/cli/manual.h"

#include <fmt/format.h>

#include <string_view>

namespace ovc {
namespace {

constexpr ManualSection kReader[] = {
    {"exit-status", "EXIT STATUS", R"(- `0` nothing found wrong
- `1` something found: a refused call, a suspicious end, saves that failed, a child that never ends, a fork that would be refused or is borderline
- `2` error: a line on standard error that begins with `ovc: ` says which

`ovc run` exits with the status of its command, or with 128 plus the number of the signal that killed it. Data goes to standard output, messages to standard error. A closed pipe is a normal end. Colours are used on a terminal only, never with NO_COLOR or TERM=dumb.)"},
    {"logs", "FILES",
     R"(- `ovcshim.COMMAND.PID.ovc` a log: one file for a program and all its descendants, in the directory it was started in, else in /var/tmp. It is 127 MB by default, allocated in full at the start, and never grows: the newest records replace the oldest, and what was overwritten is counted. 16 MB of it (8 MB where OVCSHIM_EVENTS_SIZE is below 16M) hold what is never overwritten: each different stack, the exact totals of its calls, which of them brought the memory that each process has now, and readings of Committed_AS, CommitLimit and a process's own size, at least 500 of them spread over the whole recording where as many were taken, with the lowest and highest in between, and each process's highest.

A log can be read at any time: while the program runs, after its end, and after it was killed. A SIGKILL loses nothing: every call that returned is in the log. Without LOG, ovc reads the newest one here, else in /var/tmp. To move a log, copy the whole file (`cp --sparse=always`; or gzip it, and gunzip it before reading). Logs of older versions of the shim are read; one that needs a newer ovc is refused with that message.

Forks, execs, waits, ends and refusals have room of their own, and so have other events (files mapped, locks, mallocs of 128 KiB and more), granted calls of mmap and its kin (32 bytes each: by default the newest 420,000), and small malloc calls: none pushes out the others.)"},
    {"examples", "EXAMPLES", R"(Record a server, and ask why its fork was refused:

  ovc run -- redis-server redis.conf
  ovc why

The same for a service, which keeps its own way of starting and takes the variables from its unit:

  LD_PRELOAD=libovcshim.so OVCSHIM_LOG=/var/lib/redis/%c.%p.ovc redis-server redis.conf

Before it happens, without the shim; and what would let the fork pass:

  ovc check redis-server
  ovc plan $(pidof redis-server)

Will the save survive, and what did the former ones need?

  ovc check /var/lib/redis/redis-server.1234.ovc

Who killed it, who sends signals?

  ovc why
  ovc show --op %signal

What has grown since this morning?

  cp --sparse=always redis.ovc morning.ovc
  ovc diff morning.ovc redis.ovc

What would be refused with vm.overcommit_memory = 2 and a CommitLimit 1 GiB above today's Committed_AS?

  ovc run --rehearse mode=2,limit=+1G -- redis-server redis.conf

Let the second fork fail, and each after it:

  ovc run --inject 'fork:error=ENOMEM:when=2+' -- redis-server redis.conf)"},
    {nullptr, "CONTAINERS",
     R"(From the host nothing else is needed: `ovc check PID`, with the number that the host has for the process, sees its control group and those above. A log of a container has the container's numbers and paths; `ovc check LOG` and `ovc why LOG` find the process and its files as long as it runs. When it has ended but the container has not, name the log through any process of that: `ovc why /proc/PID/root/data/x.ovc`.

In a container that has no ovc: copy ovc and libovcshim.so from the tarball that `cpack -G TGZ` packs; they need nothing else there (`docker cp ovc NAME:/tmp/`, `docker cp libovcshim.so NAME:/tmp/`, `docker exec NAME /tmp/ovc check 1`, `docker exec NAME /tmp/ovc run -- COMMAND`). Or start a second container with the first one's processes (recipes/container/look-inside.sh for Kubernetes, Docker and Podman). In there groups above the container's own are not visible: whether a save survives is then told as far as can be seen.)"},
    {nullptr, "SEE ALSO",
     R"(`libovcshim(7)`, `strace(1)`, `proc(5)`, `fork(2)`, `mmap(2)`, `malloc(3)`)"},
};

constexpr ManualSection kShim[] = {
    {nullptr, "DESCRIPTION",
     R"(libovcshim.so records the calls of an unmodified program: fork and its kin, exec, wait, mmap and its kin, malloc and its kin. Each record has the state the call met: CommitLimit and Committed_AS, the limits of the process and its control group, and for a refused call the list of mappings that proves why. `ovc(1)` reads the records.

The log is a file mapping: every call that returned is in it, even if the program is killed next. In the program the shim has no thread, no socket, no signal handler and no descriptor that stays open; it changes no environment variable, request size, result or errno. If it cannot start, it prints one line that begins with `ovcshim: `, once for a tree of processes, and the program runs as without it. Nothing is printed where descriptor 2 is a file that is not appended to (`2>>FILE`, not `2>FILE`), a full pipe, a device or a network connection.)"},
    {"limits", "WHAT IT CANNOT SEE",
     R"(- static binaries, Go programs' own system calls, set-uid programs: the loader ignores LD_PRELOAD there
- programs started with an environment of the server's making, without LD_PRELOAD: CGI programs under Apache, nginx's new binary (unless nginx.conf has `env LD_PRELOAD; env OVCSHIM_LOG;`), what PHP-FPM's scripts start. `ovc forks` names them
- malloc in a program that carries its own, such as upstream Redis with its static jemalloc: its mmap calls are recorded
- system calls by inline assembly; those through `syscall(2)` are recorded
- the pid of a child made by popen, system, wordexp or pidfd_spawn: `ovc forks` names it where no other call can have made that child
- calls inside libc where its code has an unknown shape: `ovc stats` says so for each process. So it is in programs of musl (Alpine): what they call is recorded as in those of glibc, but not the mmap, munmap, brk and madvise of musl's malloc, the stacks of its threads, nor the clone of its posix_spawn
- free_sized and free_aligned_sized of glibc 2.43 and later: to export them where libc has none would change what a program finds
- a successful madvise that changes no charge is counted, not recorded
- signals that end nobody by themselves (SIGUSR1, SIGCHLD, 0, ...), and those that libc sends itself (raise, abort, pthread_kill)
- growth of the stack, and what the loader maps for dlopen. All mappings are listed at each program's start and at refusals, and at a dlopen and a normal end where reading them is quick; `ovc maps` says where it is not certain
- in a rehearsal: growth of stacks and exec are not refused, and allocators that read vm.overcommit_memory see the host's
- a program whose log would be on btrfs: no log is made there, since a full btrfs ends a program with SIGBUS (`OVCSHIM_LOG=/dev/shm/NAME` is safe). btrfs below an overlay, as in a container, is not noticed. ZFS and bcachefs were not tested
- an ASan program of g++ that has its own `__asan_default_options` does not start with any preload ("runtime does not come first"): its answer needs `verify_asan_link_order=0`. Others run: the shim answers for them

`ovc stats` says for each log which of these apply.)"},
    {nullptr, "NOTES",
     R"(Whoever truncates a log while it is written (its owner or root: it has mode 0600) ends the program with SIGBUS, as with any file that a program has mapped. To remove or rename it does no harm.

A log takes what can be spared: an eighth of the free space of its filesystem; in memory (`/dev/shm`) an eighth of what is left in the memory group, too; 1/32 of RLIMIT_AS; RLIMIT_FSIZE. If that is less than was asked for, the log is smaller, and `ovc stats` says so and why. `ovc stats` prints the address space that the log and the shim take. A program that lowers its own RLIMIT_AS has that much less.

After a refused fork the shim asks the kernel by one or two clones that cannot succeed which limit it was; strace shows them.

Under seccomp profiles that refuse process_vm_readv (Podman, CRI-O) or statx (old Docker) records have their stacks and names all the same. A thread with a thread pointer of its own (not libc's) runs unrecorded. Under ThreadSanitizer pthread_create is not recorded. In what g++'s AddressSanitizer reports, the stack of an allocation has one frame of the shim more: it records what the call returned, so the call returns to it.

A program that goes on as another user by exec cannot write the first user's log. It has one of its own beside it (`a.uid999.ovc` beside `a.ovc`), or in `/var/tmp` if it may not write there; `ovc` reads both if it is given the first.)"},
    {nullptr, "SEE ALSO", R"(`ovc(1)`, `ld.so(8)`, `proc(5)`, `fork(2)`, `mmap(2)`, `malloc(3)`)"},
};

constexpr EnvironmentVariable kEnvironment[] = {
    {"`OVCSHIM_LOG`", "path of the log; `%c` is the command, `%p` the pid",
     "`ovcshim.%c.%p.ovc` here, else in /var/tmp"},
    {"`OVCSHIM_EVENTS_SIZE`, `OVCSHIM_CALLS_SIZE`",
     "room in the log for events (granted calls of mmap and its kin have 13/16 of it besides), and "
     "for malloc calls below 128 KiB; calls 0: these are only counted",
     "16M, 64M"},
    {"`OVCSHIM_MIN_SIZE`", "malloc-family requests below this size are only counted", "0"},
    {"`OVCSHIM_STACK_DEPTH`", "stack frames recorded per event; 0: the caller only", "32"},
    {"`OVCSHIM_LIBC_INTERNALS`",
     "0: do not patch libc; the system calls it makes itself are then not recorded", "1"},
    {"`OVCSHIM_FOLLOW`", "descendants to record: `all`, `fork` (not after an exec), `none`",
     "`all`"},
    {"`OVCSHIM_REHEARSE`",
     "`mode=2,limit=3G`: refuse what the kernel would refuse with that vm.overcommit_memory and "
     "CommitLimit (mode 0: RAM and swap)",
     "none"},
    {"`OVCSHIM_INJECT`",
     "refuse these calls, as strace's --inject: `fork:error=ENOMEM:when=2+`; `when=N`, `N+`, "
     "`N+STEP`, `N..M`, `size>=SIZE`; rules are separated by `;`",
     "none"},
    {"`OVCSHIM`", "0: the shim does nothing at all", "1"},
};

constexpr char kOneLog[] =
    R"(A whole process tree shares one log. A descendant finds it after exec without any change to its environment: it asks the logs of its user in /var/tmp, or linked from there as `.ovcshim.PID`, which of them knows one of its ancestors. An older log under a fixed `OVCSHIM_LOG` name is joined if it is of this boot, else kept as `NAME.old`.)";

// Words of `text` from column `indent` on, the first line's indent not written.
void append_wrapped(std::string& out, std::string_view text, size_t indent, size_t width) {
  size_t column = indent;
  for (bool first = true; !text.empty(); first = false) {
    const size_t space = text.find(' ');
    const std::string_view word = text.substr(0, space);
    text = space == text.npos ? std::string_view() : text.substr(space + 1);
    if (!first && column + 1 + word.size() > width) {
      out += '\n' + std::string(indent, ' ');
      column = indent;
    } else if (!first) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  out += '\n';
}

std::string unmarked(std::string_view text) {
  std::string plain(text);
  std::erase(plain, '`');
  return plain;
}

}  // namespace

std::span<const ManualSection> reader_manual() { return kReader; }
std::span<const ManualSection> shim_manual() { return kShim; }
std::span<const EnvironmentVariable> environment() { return kEnvironment; }
const char* environment_notes() { return kOneLog; }

std::string section_text(const char* text, size_t width) {
  std::string out;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t end = rest.find('\n');
    const std::string line = unmarked(rest.substr(0, end));
    rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
    if (line.empty() || line.starts_with("  ")) out += line + '\n';
    else append_wrapped(out, line, line.starts_with("- ") ? 2 : 0, width);
  }
  return out;
}

std::string environment_text(size_t width) {
  constexpr size_t kIndent = 4;
  std::string out;
  for (const EnvironmentVariable& variable : kEnvironment) {
    out += fmt::format("{} (default: {})\n{:{}}", unmarked(variable.names),
                       unmarked(variable.initial), "", kIndent);
    append_wrapped(out, unmarked(variable.meaning), kIndent, width);
  }
  return out + '\n' + section_text(kOneLog, width);
}

}  // namespace ovc
