#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `ovc follow` in a pipe: what happens is told while the program runs, in lines and as JSON, and what could not be read is counted.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/forker.sh"
follower=
on_exit() {
  [[ -z $follower ]] || kill -KILL "$follower" 2>/dev/null || true
  forker_stop
}

# start LOG [VAR=VALUE...]: a forker under the shim whose second fork, and each second after it, is refused
start() {
  local log=$1
  shift
  # shellcheck disable=SC2163  # the arguments are VAR=VALUE
  export LD_PRELOAD=$shim OVCSHIM_LOG=$log OVCSHIM_INJECT=fork:error=ENOMEM:when=2+2 "$@"
  forker_start ac=1024
  unset LD_PRELOAD OVCSHIM_LOG OVCSHIM_INJECT
}
# follows ARGUMENT...: in the background, its lines on descriptor 4
mkfifo lines
follows() {
  ovc follow --interval 0.1 "$@" >lines &
  follower=$!
  exec 4<lines
}
# awaits REGEX: reads on to the line that matches, which is left in $line; all lines are kept in the file seen
awaits() {
  while read -r -t 60 line <&4; do
    echo "$line" >>seen
    [[ $line =~ $1 ]] && return
  done
  cat seen >&3
  fail "not told: $1"
}
# ends STATUS: the rest of what it says, and its end
ends() {
  cat <&4 >>seen
  exits "$1" wait "$follower"
  follower=
  exec 4<&-
}
now_ms() { echo $(($(date +%s%N) / 1000000)); }

echo "a refusal is told while the program runs"
start "$work/a.ovc"
follows "$work/a.ovc"
awaits "^[0-9:.]+  forker $forker_pid  runs .*/forker$"
prompt=0
for n in 1 2 3 4 5; do
  [[ $(tell fork) == passed ]] || fail "fork $n"
  asked=$(now_ms)
  [[ $(tell fork) == "refused ENOMEM" ]] || fail "fork $n is not refused"
  awaits "^[0-9:.]+  forker $forker_pid  fork refused with ENOMEM: refused by OVCSHIM_INJECT"
  took=$(($(now_ms) - asked))
  ((took > 1000)) || { prompt=1; break; }
done
((prompt)) || fail "five refusals, none told within a second"
finds "^[0-9:.]+  forker $forker_pid  fork = [0-9]+, took " seen

echo "Ctrl-C: what was told stands, the status says that a call was refused"
kill -INT "$follower"
ends 1
(($(grep -c 'fork refused' seen) == n)) || fail "$n refusals, told: $(grep -c 'fork refused' seen)"
(($(grep -c ' fork = ' seen) == n)) || fail "$n forks, told: $(grep -c ' fork = ' seen)"

echo "what happened before: the last lines; nobody reads on: a quiet end"
follows -n 1 "$work/a.ovc"
read -r -t 60 line <&4
[[ $line == *"  fork refused with ENOMEM"* ]] || fail "the last line: $line"
exec 4<&-
tell grow 4 >/dev/null
exits 1 wait "$follower"
follower=
forker_stop

echo "JSON; the log of a program that has ended ends it"
: >seen
start "$work/b.ovc"
follows --json "$work/b.ovc"
[[ $(tell fork) == passed ]]
[[ $(tell fork) == "refused ENOMEM" ]]
awaits '"event":"refused"'
forker_stop
ends 1
python3 -c 'import json, sys; [json.loads(line) for line in sys.stdin]' <seen || fail "not JSON line by line"
jq -es --argjson pid "$(jq -s '.[0].pid' seen)" '
  map(select(.event == "refused")) == [map(select(.event == "refused"))[0]] and
  (map(select(.event == "refused"))[0] | .pid == $pid and .call == "fork" and .errno == "ENOMEM" and .cause == "injected" and .times == 1)
  and (map(select(.event == "forked")) | length == 1 and .[0].child > 0) and all(.[]; .time | test("^2[0-9-]{9}T.*Z$"))' seen >/dev/null ||
  { cat seen; fail "the refusal in JSON"; }

echo "nothing wrong: status 0"
under "$work/c.ovc" true
exits 0 ovc follow "$work/c.ovc" >out
finds '  ended normally' out

echo "a log that is not there yet"
exits 2 ovc follow "$work/d.ovc" 2>err
finds '^ovc: .*; with --wait ovc waits until there is a log$' err
: >seen
follows --wait "$work/d.ovc"
start "$work/d.ovc"
awaits "  forker $forker_pid  runs "
forker_stop
ends 0

echo "a wrap before it could be read is told as a loss"
: >seen
start "$work/e.ovc" OVCSHIM_EVENTS_SIZE=64K
unset OVCSHIM_EVENTS_SIZE
follows --json "$work/e.ovc"
awaits '"event":"began"'
kill -STOP "$follower"
for ((n = 0; n < 2200; n++)); do tell "grow 4"; done >answers
(($(ovc stats --json "$work/e.ovc" | jq .lost.memory_units_overwritten) > 0)) || fail "nothing was overwritten"
kill -CONT "$follower"
awaits 'overwritten before they were read'
jq -e '.event == "lost" and .count > 0' <<<"$line" >/dev/null || fail "$line"
forker_stop
ends 0
