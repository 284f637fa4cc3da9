// SPDX-License-Identifier: MIT
#include "tools/cli/manual.h"

#include <fmt/format.h>

#include <string_view>

namespace ovc {
namespace {

constexpr ManualSection kReader[] = {
    {"exit-status", "EXIT STATUS", R"(- `0` nothing found wrong
- `1` something found: a refused call, a suspicious end, a fork that would be refused or is borderline
- `2` the work could not be done; a line on standard error that begins with `ovc: ` says why

`ovc run` ends with the status of its command, or 128 and the number of the signal that killed it.)"},
    {"logs", "FILES",
     R"(- `ovcshim.COMMAND.PID.ovc` a log: one file for a program and all of its descendants, in the folder where it was started, else in /var/tmp. It is 84 MB by default, has its full size from the start, never grows, and the newest records replace the oldest; what was overwritten is counted.

A log can be read at any time: while the program runs, after its end, and after it was killed. Where LOG is left out, it is the newest one here, else in /var/tmp. To move a log, copy the whole file (`cp --sparse=always`, or packed by gzip and unpacked again). Logs of older versions of the shim are read; one that needs a newer ovc is refused with that reason.)"},
    {"examples", "EXAMPLES", R"(Record a server, and ask why its fork was refused:

  ovc run -- redis-server redis.conf
  ovc why

The same for a service, which inherits the variables and keeps its own way of starting:

  LD_PRELOAD=libovcshim.so OVCSHIM_LOG=/var/lib/redis/%c.%p.ovc redis-server redis.conf

Before it happens, without a shim, and what would let it pass:

  ovc check redis-server
  ovc plan $(pidof redis-server)

What would vm.overcommit_memory = 2 with 1 GiB more than what is promised now refuse?

  ovc run --rehearse mode=2,limit=+1G -- redis-server redis.conf)"},
    {nullptr, "SEE ALSO",
     R"(`libovcshim(7)`, `strace(1)`, `proc(5)`, `fork(2)`, `mmap(2)`, `malloc(3)`)"},
};

constexpr ManualSection kShim[] = {
    {nullptr, "DESCRIPTION",
     R"(libovcshim.so records the calls of the fork family, exec, waits, mmap and its kin, and malloc and its kin that an unmodified program makes, each with the state it met: the kernel's commit limit and what was promised of it, the limits of the process and its control group, and for a refused call the list of mappings that proves why. `ovc(1)` reads what was recorded.

The record is a file mapping: what a call recorded before it returned is kept if the program is killed. In the program the shim has no thread, no socket, no signal handler and no descriptor that stays open, and changes no environment variable, request size, result or errno. If it cannot start, it prints one line that begins with `ovcshim: `, once for a tree of processes, and the program runs as without it. Nothing is printed where descriptor 2 is a file that is not appended to (`2>>FILE`, not `2>FILE`), a full pipe, a device or a network connection.)"},
    {"limits", "WHAT IT CANNOT SEE",
     R"(- static binaries, system calls that Go programs make by themselves, set-uid programs: the loader ignores the preload there
- programs that are started with an environment of the server's making, without LD_PRELOAD
- malloc inside a program that carries its own; its mmap calls are seen
- system calls by inline assembly; those through `syscall(2)` are seen

`ovc stats` says for each log what of this holds there.)"},
    {nullptr, "NOTES",
     R"(Whoever truncates a log while it is written ends the program with SIGBUS, as with any file that a program has mapped. To remove or rename it does no harm.

A log takes what can be spared: an eighth of the free space of its filesystem; in memory (`/dev/shm`) an eighth of what is left in the memory group, too; 1/32 of RLIMIT_AS; RLIMIT_FSIZE. If that is less than was asked for, the log is smaller, and `ovc stats` says so and why.

A program that goes on as another user by exec cannot write the first user's log. It has one of its own beside it (`a.uid999.ovc` beside `a.ovc`), or in `/var/tmp` if it may not write there; `ovc` reads both if it is given the first.)"},
    {nullptr, "SEE ALSO", R"(`ovc(1)`, `ld.so(8)`, `proc(5)`, `fork(2)`, `mmap(2)`, `malloc(3)`)"},
};

constexpr EnvironmentVariable kEnvironment[] = {
    {"`OVCSHIM_LOG`", "path of the log; `%c` command, `%p` pid",
     "`ovcshim.%c.%p.ovc` here, else in /var/tmp"},
    {"`OVCSHIM_EVENTS_SIZE`, `OVCSHIM_CALLS_SIZE`", "sizes of the two lanes; calls 0 = off",
     "16M, 64M"},
    {"`OVCSHIM_MIN_SIZE`", "smallest malloc-family request kept (all are counted)", "0"},
    {"`OVCSHIM_STACK_DEPTH`", "frames kept per event, 0 = caller only", "32"},
    {"`OVCSHIM_LIBC_INTERNALS`", "0: leave libc's code alone; its inner calls are then not visible",
     "1"},
    {"`OVCSHIM_FOLLOW`", "`all`, `fork` (not exec), `none`", "`all`"},
    {"`OVCSHIM_REHEARSE`",
     "`mode=2,limit=3G`: refuse what the kernel would refuse under that mode and CommitLimit (mode "
     "0: RAM and swap)",
     "none"},
    {"`OVCSHIM_INJECT`",
     "`fork:error=ENOMEM:when=2+`: refuse these calls; `when=N`, `N+`, `N+STEP`, `N..M`, "
     "`size>=SIZE`; rules are separated by "
     "`;`",
     "none"},
    {"`OVCSHIM`", "0 = do nothing at all", "1"},
};

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
  return out;
}

}  // namespace ovc
