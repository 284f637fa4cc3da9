#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Who killed it: by each call that sends a signal, from a handler and from the child of a vfork; with SIGTERM, which is no finding; by
# somebody whom the log does not know; and that signals which end nobody leave no record. Results are those of the calls without the shim.
. "$(dirname "$0")/../fixtures/e2e.sh"
cat >sends.c <<'C'
// sends HOW SIGNAL: makes a child that waits for ever and ends it. outside: says its number and waits for it.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
extern int pidfd_send_signal(int, int, siginfo_t*, unsigned) __attribute__((weak));
extern int tgkill(pid_t, pid_t, int) __attribute__((weak));
static pid_t child;
static int number;
static void on_alarm(int unused) { (void)unused; kill(child, number); }
static int is(const char* a, const char* b) { return strcmp(a, b) == 0; }
__attribute__((noinline)) int end_it(const char* how) {
  if (is(how, "kill")) return kill(child, number);
  if (is(how, "killpg")) return killpg(child, number);
  if (is(how, "tgkill")) return tgkill ? tgkill(child, child, number) : 77;
  if (is(how, "sigqueue")) return sigqueue(child, number, (union sigval){.sival_int = 1});
  if (is(how, "pidfd")) {
    const int fd = (int)syscall(434, child, 0);
    return fd < 0 || !pidfd_send_signal ? 77 : pidfd_send_signal(fd, number, 0, 0);
  }
  if (is(how, "handler")) return signal(SIGALRM, on_alarm), raise(SIGALRM);
  if (is(how, "vfork")) {
    const pid_t helper = vfork();
    if (helper == 0) _exit(kill(child, number) != 0);
    int status = 0;
    return waitpid(helper, &status, 0) == helper ? status : -1;
  }
  return printf("%d\n", child), fflush(stdout), 0;
}
int main(int argc, char** argv) {
  int status = 0, ready[2];
  char byte;
  if (argc < 3 || pipe(ready)) return 2;
  number = atoi(argv[2]);
  child = fork();
  if (child == 0) {
    setpgid(0, 0);
    for (status = write(ready[1], "", 1) == 1; status;) pause();
  }
  if (read(ready[0], &byte, 1) != 1) return 2;
  kill(child, 0), kill(child, SIGWINCH), kill(child, SIGURG);
  errno = 0;
  const int bad = kill(0x3fffffff, SIGKILL), why = errno;
  const int result = end_it(argv[1]);
  if (result == 77) return kill(child, SIGKILL), 77;
  if (result || waitpid(child, &status, 0) != child || bad != -1 || why != ESRCH) return 1;
  return WIFSIGNALED(status) && WTERMSIG(status) == number ? 0 : 1;
}
C
${CC:-cc} -O1 -g -o sends sends.c 2>/dev/null || skip "no C compiler"
child=
on_exit() { [[ -z $child ]] || kill -9 "$child" 2>/dev/null || true; }

declare -A call=([kill]='kill\([0-9]+, SIGKILL\)' [killpg]='kill\(-[0-9]+, SIGKILL\)' [tgkill]='tgkill\([0-9]+, [0-9]+, SIGKILL\)'
  [sigqueue]='sigqueue\([0-9]+, SIGKILL\)' [pidfd]='pidfd_send_signal\([0-9]+, SIGKILL' [handler]='kill\([0-9]+, SIGKILL\)'
  [vfork]='kill\([0-9]+, SIGKILL\)')
for how in "${!call[@]}"; do
  status=0
  under "$work/$how.ovc" ./sends "$how" 9 || status=$?
  ((status != 77)) || continue  # not in this libc or kernel
  ((status == 0)) || fail "$how: the program saw something else: $status"
  exits 1 ovc why "$how.ovc" >"$how.txt"
  finds "^sends \(pid [0-9]+\) was killed by SIGKILL" "$how.txt"
  finds "^  sent by +(sends|a process) \(pid [0-9]+\): ${call[$how]}" "$how.txt"
  ! grep -iE "OOM|no recorded call" "$how.txt" || fail "$how: it is known who did it"
done
finds "asked by .*end_it" kill.txt
((($(ovc show --op %signal kill.ovc | grep -c "kill(")) == 2)) || fail "other signals were recorded: $(ovc show --op %signal kill.ovc)"
[[ $(ovc why --json kill.ovc | python3 -c 'import json, sys; print(json.load(sys.stdin)["ends"][0]["sent_by"])') == "sends (pid "* ]] || fail "JSON"

# How one asks a program to end is no finding, but who did it is told.
under "$work/term.ovc" ./sends kill 15
exits 0 ovc why term.ovc >term.txt
finds "^sends \(pid [0-9]+\) ended by SIGTERM at [0-9:.]+; sent by sends \(pid [0-9]+\): kill\([0-9]+, SIGTERM\)" term.txt

# Somebody outside the log.
mkfifo said
LD_PRELOAD=$shim OVCSHIM_LOG=$work/outside.ovc ./sends outside 9 >said &
program=$!
read -r child <said
kill -9 "$child"
child=
wait "$program" || fail "outside"
exits 1 ovc why outside.ovc >outside.txt
finds "was killed by SIGKILL" outside.txt
finds "^  (note)? +no recorded call sent it" outside.txt
! grep -E "^  sent by" outside.txt || fail "nobody in the log sent it"
