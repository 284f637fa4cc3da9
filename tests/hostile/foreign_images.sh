#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Programs into which no loader puts the shim: 32-bit, static, without libc, set-uid, with capabilities, started without
# LD_PRELOAD. They run unharmed, alone and as children of a shell that is recorded; and ovc names each of them, and why it
# left no record.
# Pitfalls: 32-bit children ("wrong ELF class"), set-uid (AT_SECURE drops LD_PRELOAD),
# static and Go programs: blind spots to be stated, not passed over.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/beside.sh"
calls=$source_dir/tests/hostile/allocations.c
chmod 755 "$work"  # other users come here

# As Go's runtime does it: no libc, system calls by their numbers.
cat >raw.c <<'C'
static long sys(long n, long a, long b, long c, long d, long e, long f) {
  long r;
  register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
  __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return r;
}
void _start(void) {
  char* block = (char*)sys(9, 0, 64 << 20, 3, 0x22, -1, 0);
  block[0] = 1;
  long pid = sys(56, 17, 0, 0, 0, 0, 0);
  if (pid == 0) sys(60, 11, 0, 0, 0, 0, 0);
  int status = 0;
  sys(61, pid, (long)&status, 0, 0, 0, 0);
  sys(1, 1, (long)(status == 11 << 8 ? "raw ok\n" : "raw no\n"), 7, 0, 0, 0);
  sys(231, 5, 0, 0, 0, 0, 0);
}
C
declare -A why=()
made() { why[$1]=$2; }  # PROGRAM REASON
# A kernel may be built, or told (ia32_emulation=0), to run no 32-bit programs.
runs_bits32() { { ./bits32 || (($? != 126)); } >/dev/null 2>&1 || { echo "left out: bits32, this kernel does not run 32-bit programs"; return 1; }; }
! { built bits32 gcc -m32 "$calls" -lpthread -ldl && runs_bits32; } || made bits32 'it is a 32-bit program'
! built static gcc -static -Wl,-w "$calls" -lpthread || made static 'it is a static binary'
! built static_pie gcc -static-pie -Wl,-w "$calls" -lpthread || made static_pie 'it is a static binary'
! built musl_static musl-gcc -static "$calls" || made musl_static 'it is a static binary'
if [[ $(uname -m) == x86_64 ]]; then ! built raw gcc -nostdlib -static -O1 -fno-stack-protector raw.c || made raw 'it is a static binary'; fi
((${#why[@]})) || skip "no compiler"
for name in "${!why[@]}"; do made "script_$name" "its interpreter $work/$name: ${why[$name]}"; printf '#!%s\n' "$work/$name" >"script_$name"; done
chmod +x script_*

message_of_loader="^ERROR: ld.so: object '.*libovcshim.so' from LD_PRELOAD cannot be preloaded \(wrong ELF class: ELFCLASS64\): ignored\.$"
for name in "${!why[@]}"; do
  # Alone: no harm, no record but of its children's images, and ovc run says why.
  alike "alone.$name" "$work/$name"
  status=0
  ovc run -o "$work/run.ovc" -- "$work/$name" >out 2>err || status=$?
  ((status != 2)) || fail "ovc run $name"
  finds "^ovc: (no log was written to .*|$work/$name itself left no records): ${why[$name]//[()]/.}" err
  # In the middle of a recorded tree, as a child and in place of a shell.
  alike "tree.$name" bash -c "'$work/$name'; true; sh -c 'exec $work/$name'; :"
  not_seen "tree.$name.1.ovc" "$work/$name \(pid [0-9]+ and 1 more\) left no records: ${why[$name]//[()]/.}"
  ovc forks "tree.$name.1.ovc" >forks.out || (($? == 1))
  (($(grep -c "; ran $work/$name, not seen: ${why[$name]//[()]/.}" forks.out) == 2)) || { cat forks.out; fail "ovc forks on $name"; }
  ovc forks --json "tree.$name.1.ovc" | jq -e --arg p "$work/$name" '[.forks[].child.unseen_program.program] | index($p)' >/dev/null || fail "ovc forks --json on $name"
  rm -f tree.* alone.* run.*
done
message_of_loader='^$'

# A program that is seen is not said to be unseen; one that could not be started neither.
under "$work/seen.ovc" bash -c '/bin/true; /bin/sh -c true; /no/such/program; true' 2>/dev/null
ovc stats -n 0 seen.ovc | sed '1,/^not seen$/d' >not_seen.out
! grep -q '^  what ' not_seen.out || { cat not_seen.out; fail "said to be unseen"; }

# posix_spawn, and environments without LD_PRELOAD; and what cannot be known is not claimed.
cat >spawns.py <<'P'
import os, sys
for env in (os.environ, {"PATH": "/bin"}):
    pid = os.posix_spawn(sys.argv[1], ["x"], env)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
P
python=$(python3 -c 'import sys; print(sys.executable)')
if [[ -n ${why[static]-} ]]; then
  alike spawns "$python" spawns.py "$work/static"
  not_seen spawns.1.ovc "$work/static \(pid [0-9]+\) left no records: it is a static binary"
  not_seen spawns.1.ovc "$work/static \(pid [0-9]+\) left no records: it was started without LD_PRELOAD=libovcshim.so"
  # shellcheck disable=SC2016  # for the inner shell
  alike unnamed bash -c './static >/dev/null; cp static gone; "$0/gone" >/dev/null; rm gone; true' "$work"
  not_seen unnamed.1.ovc './static .* left no records: reason not known: the call gave no absolute path'
  not_seen unnamed.1.ovc "$work/gone .* left no records: reason not known: its file is gone, changed or unreadable"
fi
alike clean bash -c 'env -i /bin/true; env -u LD_PRELOAD /bin/ls / >/dev/null'
not_seen clean.1.ovc '/bin/ls .* left no records: it was started without LD_PRELOAD=libovcshim.so'
not_seen clean.1.ovc '/bin/true .* left no records: it was started without LD_PRELOAD=libovcshim.so'

# Privileges that come with the file: the loader drops LD_PRELOAD, says nothing, and unsets it for descendants.
if ((EUID != 0)) || ! command -v setpriv >/dev/null; then echo "left out: set-uid programs, which takes root"; exit 0; fi
as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all)
"${as_nobody[@]}" test -r "$shim" || { echo "left out: set-uid programs, the build folder is closed to others"; exit 0; }
chmod 777 "$work"
cat >who.c <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(void) { return printf("%d %d %s\n", (int)getuid(), (int)geteuid(), getenv("LD_PRELOAD") ? "preload" : "none") < 0; }
C
built who gcc who.c
privileged() {
  local name=$1 reason=$2
  "${as_nobody[@]}" "$work/$name" >plain.out
  "${as_nobody[@]}" env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/p.$name.ovc" bash -c "'$work/$name'; '$work/who' >/dev/null; :" >shim.out 2>shim.err
  same plain.out shim.out "$name under the shim"
  [[ ! -s shim.err ]] || { cat shim.err; fail "$name: messages"; }
  not_seen "p.$name.ovc" "$work/$name \(pid [0-9]+\) left no records: it $reason: the loader drops LD_PRELOAD"
  "${as_nobody[@]}" env "PATH=$PATH" ovc run -o "$work/run.$name.ovc" -- "$work/$name" >/dev/null 2>err || fail "ovc run $name"
  finds "^ovc: no log was written to .*: it $reason" err
  ! grep -q "^ *$work/who " not_seen.out || fail "who is seen"
}
cp who setuid && chown 1:1 setuid && chmod 4755 setuid
if [[ $("${as_nobody[@]}" ./setuid) == "65534 1 none" ]]; then
  privileged setuid 'is set-uid'
  cp who setgid && chown 1:1 setgid && chmod 2755 setgid
  privileged setgid 'is set-gid'
else echo "left out: set-uid programs, this file system or container ignores the bit"; fi
cp who capable
if command -v setcap >/dev/null && setcap cap_net_raw+ep capable 2>/dev/null && "${as_nobody[@]}" ./capable >/dev/null 2>&1; then
  privileged capable 'has file capabilities'
else echo "left out: file capabilities"; fi
