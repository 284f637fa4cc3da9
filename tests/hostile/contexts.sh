#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Calls from the odd places of a program's life: same output and end as without the shim, with libc's internals recorded and
# without, and a log that can be read. Pitfalls covered: start-up order and recursion through dlsym, TLS, forks in threaded
# programs, vfork children, foreign and tiny stacks, signal handlers inside the recorder, dlopen and dlclose.
. "$(dirname "$0")/../fixtures/e2e.sh"

cat >tls.c <<'C'
static __thread char block[SIZE] __attribute__((tls_model("initial-exec")));
char* touch(void) { return block; }
C
gcc -shared -fPIC -DSIZE=64 -o library.so tls.c
for i in {0..63}; do cp library.so "library.so-$i"; done

for case in outside-main signals storm threaded-forks thread-ends vforks loader coroutines static-tls; do
  plain=0
  contexts $case "$work/library.so" >plain.out 2>&1 || plain=$?
  for internals in 0 1; do
    shimmed=0
    under "$work/$case.ovc" env OVCSHIM_LIBC_INTERNALS=$internals contexts $case "$work/library.so" >shim.out 2>&1 || shimmed=$?
    ((shimmed == plain)) || { cat shim.out >&3; fail "$case, OVCSHIM_LIBC_INTERNALS=$internals: exit status $shimmed, not $plain"; }
    if [[ $case == static-tls ]]; then
      count() { sed -nE 's/^objects with static TLS: ([0-9]+): ok$/\1/p' "$1"; }
      echo "objects with 64 bytes of static TLS that can be loaded: $(count plain.out), with the shim $(count shim.out)"
      (($(count plain.out) - $(count shim.out) <= 4)) || fail "the shim takes too much static TLS"
    else
      same plain.out shim.out "$case, OVCSHIM_LIBC_INTERNALS=$internals"
    fi
    ovc stats "$case.ovc" >summary || (($? == 1))
    rm -f "$case.ovc"
  done
  ! grep -q WRONG plain.out || fail "$case goes wrong without the shim, too: $(<plain.out)"
done
