#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `ovc attach` to programs under a seccomp filter: the filter is read and followed. Where it would end the program over a call of the
# shim's, the call is named and nothing is done; where it only answers with errnos, or allows, the program is recorded, unharmed. And
# to one that may not make memory executable.
. "$(dirname "$0")/../fixtures/e2e.sh"
[[ $(uname -m) == @(x86_64|aarch64) ]] || skip "attaching is for x86-64 and aarch64"
((EUID == 0)) || skip "reading a filter needs CAP_SYS_ADMIN"
cat >filtered.c <<'C'
// filtered WHAT: sets a filter, waits for its input, maps, forks, and says how that went.
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#define LOAD(what) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, what))
#define ANSWER(answer) BPF_STMT(BPF_RET | BPF_K, answer)
#define ON(nr, answer) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), ANSWER(answer)
int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "";
  struct sock_filter kills[] = {LOAD(nr), ON(SYS_readlinkat, SECCOMP_RET_KILL_PROCESS), ANSWER(SECCOMP_RET_ALLOW)},
                     traps[] = {LOAD(nr), ON(SYS_madvise, SECCOMP_RET_TRAP), ANSWER(SECCOMP_RET_ALLOW)},
                     errnos[] = {LOAD(nr), ON(SYS_readlinkat, SECCOMP_RET_ERRNO | 1), ON(SYS_statx, SECCOMP_RET_ERRNO | 38),
                                 ON(SYS_unshare, SECCOMP_RET_KILL_PROCESS), ANSWER(SECCOMP_RET_ALLOW)},
                     // as systemd's MemoryDenyWriteExecute= filters: nothing writable and executable, nothing made executable
                     wx[] = {LOAD(nr), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 4), LOAD(args[2]),
                             BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 6), ON(6, SECCOMP_RET_ERRNO | 1), LOAD(nr),
                             BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 3), LOAD(args[2]),
                             BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 4, 0, 1), ANSWER(SECCOMP_RET_ERRNO | 1), ANSWER(SECCOMP_RET_ALLOW)},
                     // no library can be loaded any more
                     sealed[] = {LOAD(nr), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 3), LOAD(args[2]),
                                 BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 4, 0, 1), ANSWER(SECCOMP_RET_ERRNO | 1), ANSWER(SECCOMP_RET_ALLOW)};
#define USE(name) if (!strcmp(what, #name)) filter.len = sizeof name / sizeof name[0], filter.filter = name
  struct sock_fprog filter = {0, 0};
  USE(kills); USE(traps); USE(errnos); USE(wx); USE(sealed);
  if (!strcmp(what, "mdwe") && prctl(65 /* PR_SET_MDWE */, 1, 0, 0, 0) != 0) return 3;
  if (filter.len && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter))) return 3;
  puts("ready");
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) == 1) {
    void* map = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const pid_t child = fork();
    int status = 1;
    if (child == 0) _exit(7);
    waitpid(child, &status, 0);
    puts(map != MAP_FAILED && WEXITSTATUS(status) == 7 ? "done" : "failed");
    fflush(stdout);
    munmap(map, 1 << 20);
  }
  puts("all right");
  return 0;
}
C
${CC:-cc} -o filtered filtered.c || skip "no C compiler"
pid=
on_exit() { exec 9>&- 8>&-; [[ -z $pid ]] || kill -KILL "$pid" 2>/dev/null || true; }
mkfifo in out
says() { local word; read -r word <&8; [[ $word == "$1" ]] || fail "$what: says $word, not $1"; }
# begins WHAT; 1: not to be had here
begins() {
  what=$1
  ./filtered "$what" <in >out &
  pid=$!
  exec 9>in 8<out
  local word
  read -r word <&8 || { exec 9>&- 8<&-; wait "$pid" || true; pid=; echo "left out: $what"; return 1; }
}
ends() {
  exec 9>&-
  says "all right"
  wait "$pid" || fail "$what: the program noticed"
  pid=
  exec 8<&-
}
works() { echo -n x >&9; says "done"; }

begins kills
exits 2 ovc attach "$pid" -o "$work/no.ovc" 2>err
finds 'filtered \(pid [0-9]+\) runs under a seccomp filter that may end it over readlinkat, which the shim calls' err
works
ends
begins traps
exits 2 ovc attach "$pid" -o "$work/no.ovc" 2>err
finds 'may end it over madvise' err
works
ends
begins sealed
exits 2 ovc attach "$pid" -o "$work/no.ovc" 2>err
finds 'the loader of filtered \(pid [0-9]+\) does not load .*libovcshim.so' err
works
ends
[[ ! -e no.ovc ]] || fail "something was done"
for what in errnos wx mdwe; do
  begins $what || continue
  works
  exits 0 ovc attach "$pid" -o "$work/$what.ovc" >said
  ! grep 'known in part\|not known' said || fail "$what: $(cat said)"
  works
  exits 0 ovc forks "$what.ovc" >listed
  finds 'fork' listed
  exits 0 ovc show --op mmap "$what.ovc" >maps
  finds 'mmap\(NULL, 1048576' maps
  exits 0 ovc detach "$pid" >said
  works
  ends
done
echo "all right"
