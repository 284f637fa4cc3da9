#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Children, threads and whole programs with a thread pointer of their own: Chromium's sandbox makes such a child, runtimes have such
# threads. They run unrecorded, end as they end without the shim, and find their own memory as they left it.
. "$(dirname "$0")/../fixtures/e2e.sh"
export LD_BIND_NOW=1 OVCSHIM_EVENTS_SIZE=256K OVCSHIM_CALLS_SIZE=256K

read -r all exported < <(foreign_tls list)
for internals in 1 0; do
  for ((n = 0; n < all; ++n)); do
    foreign_tls "$n" >>plain.out 2>&1 || true
    OVCSHIM_LIBC_INTERNALS=$internals under "$work/log.ovc" foreign_tls "$n" >>shim.out 2>&1 || true
  done
  same plain.out shim.out "OVCSHIM_LIBC_INTERNALS=$internals"
  (($(wc -l <plain.out) == all)) || fail "$(wc -l <plain.out) lines of $all"
  (($(grep -c ': 7, ' plain.out) > all / 2)) || fail "too few of the calls work without the shim: nothing is tried"
  ! grep changed plain.out || fail "a child without the shim has changed its block"
  rm -f plain.out shim.out log.ovc
done

# Whatever the shim exports, by its own table: most of it fails, given zeros, and some of it crashes; as without the shim.
for ((n = 0; n < exported; ++n)); do
  foreign_tls exported "$n" >>plain.out 2>&1 </dev/null || true
  under "$work/log.ovc" foreign_tls exported "$n" >>shim.out 2>&1 </dev/null || true
done
same plain.out shim.out "all that is exported"
(($(wc -l <plain.out) == exported)) || fail "$(wc -l <plain.out) lines of $exported"
rm -f plain.out shim.out log.ovc

# A program that sets its thread pointer and sets it back: unrecorded between, recorded afterwards.
foreign_tls runtime >plain.out
under "$work/runtime.ovc" foreign_tls runtime >shim.out
same plain.out shim.out runtime
finds '^8 calls of 8 went well' shim.out
ovc show --op malloc runtime.ovc >calls || (($? == 1))
finds 'malloc\(100\)' calls

# What is known to make such children.
if command -v bwrap >/dev/null && bwrap --ro-bind / / --dev /dev true 2>bwrap.err; then
  bwrap --ro-bind / / --dev /dev --unshare-pid --die-with-parent sh -c 'echo inside; exit 5' >plain.out || (($? == 5))
  exits 5 under "$work/bwrap.ovc" bwrap --ro-bind / / --dev /dev --unshare-pid --die-with-parent sh -c 'echo inside; exit 5' >shim.out
  same plain.out shim.out bwrap
else
  echo "not tried: bubblewrap (absent, or not permitted here)"
fi
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || { echo "not tried: Chromium's sandbox (no chromium)"; exit 0; }
((EUID != 0)) || { echo "not tried: Chromium's sandbox (it refuses root; tests/trust/suites.sh tries it as somebody else)"; exit 0; }
under "$work/chromium.ovc" "$chromium" --headless --disable-gpu --user-data-dir="$work/profile" --dump-dom 'data:text/html,<p>here</p>' >shim.out 2>shim.err || fail "chromium ends with $?: $(tail -3 shim.err)"
finds '<p>here</p>' shim.out
