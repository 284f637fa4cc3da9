#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A program under valgrind and the shim: what its tools say of the program is what they say without the shim, their exit status too.
# Pitfalls: a question whether an address can be read is an error to memcheck, and a line of its own to the others. Not so of callgrind
# and its kin, which count what is done: they have that line (sigprocmask: unknown).
. "$(dirname "$0")/../fixtures/e2e.sh"
type -P valgrind >/dev/null || skip "no valgrind"
valgrind -q true 2>/dev/null || skip "valgrind does not run here"
# shellcheck disable=SC2016
program=(sh -c 'x=$(echo a); (exit 3); echo "$x $?"; /bin/true & wait')

for tool in memcheck helgrind drd; do
  run=(valgrind -q --tool="$tool" --error-exitcode=9 "${program[@]}")
  alone=0 with=0
  "${run[@]}" >alone.out 2>alone.err || alone=$?
  under "$work/$tool.ovc" "${run[@]}" >with.out 2>with.err || with=$?
  ((alone == with)) || fail "$tool: exit status $with, $alone without the shim"
  same alone.out with.out "$tool: output"
  same <(sed -E 's/[=-]+[0-9]+[=-]+//' alone.err) <(sed -E 's/[=-]+[0-9]+[=-]+//' with.err) "$tool: messages"
  ovc show "$tool.ovc" --op fork >calls || (($? == 1))
  finds 'fork\(\) = [0-9]+' calls
done
