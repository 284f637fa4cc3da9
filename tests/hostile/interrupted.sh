#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Threads cancelled inside the calls that the shim wraps, and programs that end inside a handler: as without the shim, and what they
# had made is in the log. Pitfall covered: a wrapper that loses its state where the call never comes back.
. "$(dirname "$0")/../fixtures/e2e.sh"

ends() { (exec "$@") >out 2>err && echo 0 >>out || echo $? >>out; } 2>/dev/null  # the shell's own word on an aborted child
for way in cancel abort exit quick_exit _exit; do
  ends interrupted $way
  mv out plain.out
  for internals in 0 1; do
    log=$work/$way$internals.ovc
    ends env LD_PRELOAD="$shim" OVCSHIM_LOG="$log" OVCSHIM_LIBC_INTERNALS=$internals interrupted $way
    same plain.out out "$way, OVCSHIM_LIBC_INTERNALS=$internals"
    [[ ! -s err ]] || { cat err >&3; fail "$way: messages"; }
    ovc stats --json "$log" >stats.json || (($? == 1)) || fail "$way: ovc stats"
    if [[ $way == cancel ]]; then
      ovc forks --json "$log" >forks.json || (($? == 1))
      jq -e '[.forks[].call] == ["fork", "system"]' forks.json >/dev/null || { cat forks.json >&3; fail "the forks of $way"; }
    fi
  done
done
