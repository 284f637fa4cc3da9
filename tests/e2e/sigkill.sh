#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# SIGKILL at random moments leaves a readable log: of a program with threads that allocates, maps and forks all the time.
. "$(dirname "$0")/../fixtures/e2e.sh"

rounds=${OVC_ROUNDS:-25}
for ((i = 0; i < rounds; i++)); do
  log=$work/busy.$i.ovc
  env LD_PRELOAD="$shim" OVCSHIM_LOG="$log" OVCSHIM_EVENTS_SIZE=1M OVCSHIM_CALLS_SIZE=1M setsid busy &
  pid=$!
  # Early rounds hit the start, later ones the full swing.
  sleep "0.$(printf %03d $((RANDOM % (20 + i * 10))))"
  kill -KILL -- "-$pid" 2>/dev/null || kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  [[ -s $log ]] || continue  # killed before the shim began
  for command in stats show forks why; do
    status=0
    timeout 60 ovc "$command" "$log" >out 2>err || status=$?
    # Killed while the file was being made: it says so. Else it is read.
    if ((status == 2)); then
      [[ $(wc -l <err) == 1 ]] || { cat err; fail "round $i, $command"; }
    else
      ((status <= 1)) || { cat err; fail "round $i: ovc $command exits with $status"; }
      [[ ! -s err ]] || { cat err; fail "round $i: ovc $command complains"; }
    fi
  done
  rm -f "$log"
done
echo "$rounds rounds"
