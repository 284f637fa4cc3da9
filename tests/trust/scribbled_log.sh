#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# All processes of a tree can write to its log, also one that has dropped its privileges: nothing that stands there may lead another
# one's shim astray. A child overwrites the whole log with nonsense, for ever, while its parent works: the parent's results are the same.
# And ovc, whatever is left of such a log, ends with a status of its own.
. "$(dirname "$0")/../fixtures/e2e.sh"
export OVCSHIM_EVENTS_SIZE=256K OVCSHIM_CALLS_SIZE=256K
export PATH=$build/trust:$PATH

scribbled ones >plain.out
for pattern in ones zeros words random sparse addresses; do
  for internals in 1 0; do
    status=0
    env OVCSHIM_LIBC_INTERNALS=$internals LD_PRELOAD="$shim" OVCSHIM_LOG="$work/$pattern.ovc" timeout 120 scribbled $pattern >got.out 2>got.err || status=$?
    # 10: it had a log to scribble over
    ((status == 10)) || { cat got.err >&3; fail "$pattern, internals $internals: ends with $status"; }
    same plain.out got.out "$pattern, internals $internals: results"
    [[ ! -s got.err ]] || { cat got.err >&3; fail "$pattern, internals $internals: messages"; }
    for command in why show forks stats maps plan "export --to csv --calls" "export --to openmetrics"; do
      status=0
      # shellcheck disable=SC2086  # words
      timeout 60 "$build/ovc" $command "$work/$pattern.ovc" >reader.out 2>reader.err || status=$?
      ((status <= 2)) || { tail -3 reader.err >&3; fail "ovc $command of what \"$pattern\" left ends with $status"; }
    done
    rm "$pattern.ovc"
  done
done
