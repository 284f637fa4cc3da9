#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What ovc says to those who do not know it: every answer says what to do next, and how it ends.
. "$(dirname "$0")/../fixtures/e2e.sh"

# refused REGEX ARGUMENT...: exit status 2, nothing on standard output, one line on standard error
refused() {
  local wanted=$1
  shift
  exits 2 ovc "$@" >out 2>err
  [[ ! -s out ]] || fail "output of ovc $*: $(<out)"
  [[ $(wc -l <err) == 1 ]] || fail "not one line: $(<err)"
  finds "^ovc: .*$wanted" err
}
answers() {
  local wanted=$1
  shift
  exits 0 ovc "$@" >out 2>err
  [[ ! -s err ]] || fail "ovc $*: $(<err)"
  finds "$wanted" out
}

# The newest log may be in /var/tmp, where others' are; here there is none yet.
answers 'ovc run -- COMMAND'
finds '^All commands: ovc help' out
exits 0 ovc run -- true 2>err
log=$(echo ovcshim.true.*.ovc)
answers "^The newest log: $log \("
finds '^  ovc why ' out

answers '^  why  ' help
sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' out >commands
while read -r command; do
  answers "^Usage: ovc $command|^ovc $command \[|Usage: ovc \[OPTIONS\] $command" help "$command"
  cp out by_help
  [[ $command == help ]] || { ovc "$command" --help >out; same by_help out "ovc help $command and ovc $command --help"; }
done <commands
answers 'OVCSHIM_LOG' help environment
answers '^- 1 something found' help exit-status
refused "no help on 'environmnt' \(did you mean 'environment'\?\)" help environmnt

# misspelt
refused "no command is named 'wy' \(did you mean 'why'\?\); see ovc help" wy
refused "no command is named 'exprot' \(did you mean 'export'\?\)" exprot
refused "no command is named 'xqzzq'; see ovc help" xqzzq
refused "no command is named 'python3' \(to record that program: ovc run -- python3\)" python3
refused "$log is a log, not a command; to read it: ovc why $log" "$log"
refused "ovc why has no option --jsno \(did you mean '--json'\?\)" why --jsno
refused "ovc show has no option --falied \(did you mean '--failed'\?\); see ovc show --help" show --falied "$log"
refused "no call or family is named 'mmpa' \(did you mean 'mmap'\?\)" show --op mmpa "$log"
refused 'not.*csb|csb.*not' export --to csb
refused "no command is named '.x1b\[31mred'" $'\e[31mred'

# not a log
echo 'Can'\''t save in background: fork: Cannot allocate memory' >redis.log
refused 'redis.log: is not an ovcshim log; .*ovc run -- COMMAND' why redis.log
gzip -k "$log"
refused 'packed by gzip: unpack it first' why "$log.gz"
cp /bin/true program
refused 'is a program, a library or a core dump; to record a program: ovc run -- PROGRAM' stats program
printf '#!/bin/sh\n' >script
refused 'it is a script' forks script
: >empty
refused 'empty' why empty
refused 'nowhere.ovc.*No such file' why nowhere.ovc
mkdir folder
refused 'folder.*directory' why folder
head -c 100 "$log" >short
refused 'cut off after 100 bytes' why short
refused 'no process|no such process|is named' check no-such-process

# nothing wrong is an answer too
exits 0 ovc why "$log" >out
finds 'no call was refused|nothing|no failed' out
