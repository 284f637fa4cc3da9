#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# mlockall(MCL_CURRENT) faults in all that is mapped and counts it against RLIMIT_MEMLOCK. The log is 84 MiB, and is neither to be felt:
# the same result as without the shim, whatever the limit, the resident set and its peak (what a parent sees of its children) no larger
# than what the shim's own code and figures take, with threads than what they have recorded by then as well. And recording goes on.
. "$(dirname "$0")/../fixtures/e2e.sh"
most_kb=4096           # grown by more than without the shim, as one thread
most_beside_kb=40960   # peak, beside threads that record: of 86,540 kB
((EUID == 0)) || ulimit -l unlimited 2>/dev/null || skip "RLIMIT_MEMLOCK does not let this test lock its memory"

grown() { awk -v column="$1" '{ if ($column > most) most = $column } END { print most + 0 }' "$2"; }
for flags in 1 3 5; do  # MCL_CURRENT, with MCL_FUTURE, with MCL_ONFAULT
  for how in alone raw child threads; do
    lock_all $how $flags >plain.out 2>plain.err
    rm -f lock.ovc
    under "$work/lock.ovc" lock_all $how $flags >shim.out 2>shim.err
    same plain.out shim.out "mlockall($flags), $how"
    peak=$(($(grown 4 shim.err) - $(grown 4 plain.err))) rss=$(($(grown 2 shim.err) - $(grown 2 plain.err)))
    most=$most_kb
    [[ $how != threads ]] || most=$most_beside_kb
    echo "mlockall($flags), $how: peak $peak kB more than without the shim, $rss kB stay"
    ((peak <= most)) || fail "mlockall($flags), $how: the log is in the peak of the resident set"
    ((rss <= most_kb)) || fail "mlockall($flags), $how: the log stays resident"
    [[ $how == child ]] && continue
    # The call itself, and what came behind it.
    (($(ovc show --op mlockall --json lock.ovc | wc -l) >= 1)) || fail "mlockall($flags), $how: not recorded"
    ovc show --op malloc --min-size 300000 lock.ovc >after.txt
    finds 'malloc\(300000\)' after.txt
  done
done

# Somebody who may not lock much: what counts is what is mapped, the log not.
if ((EUID == 0)) && command -v setpriv >/dev/null; then
  mkdir -m 1777 public
  chmod 755 "$work"
  cp "$shim" "$(command -v lock_all)" public/
  chmod 755 public/*
  as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
  for kb in 64 4096 8192 65536; do
    (ulimit -l $kb) 2>/dev/null || continue  # more than the hard limit
    for flags in 1 3; do
      (ulimit -l $kb && as_nobody public/lock_all alone $flags) >plain.out 2>/dev/null
      rm -f public/*.ovc
      (ulimit -l $kb && as_nobody env LD_PRELOAD="$work/public/${shim##*/}" OVCSHIM_LOG="$work/public/lock.ovc" public/lock_all alone $flags) >shim.out 2>/dev/null
      same plain.out shim.out "mlockall($flags) under RLIMIT_MEMLOCK of $kb kB"
    done
  done
fi
