#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Programs that make their own home hostile: no descriptors, no files, no address space, another root and user, namespaces, seccomp,
# locked memory. They do what they do without the shim, and what was recorded can be read. Pitfalls covered: descriptors closed under
# the tool, limits, sandboxes that kill over a system call nobody asked for, pid namespaces, chroot.
. "$(dirname "$0")/../fixtures/e2e.sh"

# Through a pipe, since RLIMIT_FSIZE counts for a file; what the shell says of a killed program is not output.
run_to() {
  local out=$1
  shift
  { "$@" 2>&1 | cat >"$out"; return "${PIPESTATUS[0]}"; } 2>/dev/null
}
different=0
for case in $(homes); do
  plain=0
  run_to plain.out homes "$case" || plain=$?
  ((plain != 77)) || { echo "left out: $case needs root"; continue; }
  for internals in 0 1; do
    shimmed=0
    run_to shim.out env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/$case.ovc" OVCSHIM_LIBC_INTERNALS=$internals homes "$case" || shimmed=$?
    if ((shimmed != plain)) || ! diff -u plain.out shim.out >&3; then
      echo "$case, OVCSHIM_LIBC_INTERNALS=$internals: differs (exit status $shimmed, without the shim $plain)" >&3
      different=1
    fi
    ovc show --json "$case.ovc" >records || (($? == 1))
    [[ $internals == 1 ]] || rm -f "$case.ovc"
  done
done
((different == 0)) || fail "programs differ"
