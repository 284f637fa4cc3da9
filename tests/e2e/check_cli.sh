#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `ovc check` as it is used: every process, by name, for programs and for monitoring, again and again, with wrong arguments;
# and `ovc plan` from a log.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/forker.sh"

# A name that would break a line, a label or a terminal.
hostile=$'a"b\\c\n\e[1m'
mkdir odd
cp "$(command -v sleep)" "odd/$hostile"
"odd/$hostile" 600 &
odd_pid=$!
on_exit() { forker_stop; kill "$odd_pid"; }
until [[ $(<"/proc/$odd_pid/comm") == a* ]]; do :; done

ovc check --all >all || (($? == 1)) || fail "--all"
finds "^ *$$ +bash +pass +[0-9,]+ " all
finds "^ *$odd_pid +a\"b\\\\\\\\c\\\\n\\\\x1b\[1m +pass " all
finds 'kernel threads and zombies skipped;.* smaps read in [0-9.]+ [mu]?s$' all
ovc check --all --json | jq -e --argjson pid $$ '.processes[] | select(.pid == $pid) | .charge.kb > 0 and .exact' >out
ovc check --all --estimate --json | jq -e '.source == "maps" and all(.processes[]; .exact == false and .charge == null)' >out

metrics() { ovc check "$@" --openmetrics >metrics || (($? == 1)); }
accepted() {
  metrics "$@"
  [[ $(tail -n 1 metrics) == "# EOF" ]] || fail "no EOF: $*"
  if command -v promtool >/dev/null; then promtool check metrics <"$work/metrics" || fail "promtool: $*"; fi
}
command -v promtool >/dev/null || echo "left out: promtool (Debian package prometheus)"
accepted $$
accepted --all
accepted --all --estimate
finds "^ovc_fork_charge_max_bytes\{pid=\"$odd_pid\",comm=\"a.*\"\} [0-9.]+$" metrics
# Families stand together, each with its type first; that is more than promtool asks for.
awk '/^# TYPE/ { if (seen[$3]++) exit 1; family = $3; next } /^#/ { next } { split($1, name, "{"); if (name[1] != family) exit 1 }' metrics ||
  fail "families are mixed"

# By name: details of one, a line for each of several.
cp "$(command -v sleep)" ovc-e2e-twin
./ovc-e2e-twin 600 &
twins=("$!")
is_named() { [[ -r /proc/$1/comm && $(<"/proc/$1/comm") == "$2" ]]; }
until is_named "${twins[0]}" ovc-e2e-twin; do :; done
exits 0 ovc check ovc-e2e-twin >one
finds "^a fork of ovc-e2e-twin \(pid ${twins[0]}\) would pass now" one
finds '^  read        [0-9]+ mappings from smaps in ' one
./ovc-e2e-twin 600 &
twins+=("$!")
until is_named "${twins[1]}" ovc-e2e-twin; do :; done
exits 0 ovc check ovc-e2e-twin >two
(($(grep -c ' ovc-e2e-twin  *pass ' two) == 2)) || fail "a line for each of several"
kill "${twins[@]}"
wait "${twins[@]}" || true

# Again and again, until what is watched has ended, an interrupt, or nobody reads on.
forker_start ac=1024
mkfifo rounds
ovc check "$forker_pid" --watch 0.1 --json >rounds &
watcher=$!
exec {lines}<rounds
for _ in 1 2 3; do
  read -r line <&"$lines"
  [[ $(jq -r '.processes[0].verdict' <<<"$line") == pass ]] || fail "watch: $line"
done
forker_stop
cat <&"$lines" >rest
exec {lines}<&-
exits 0 wait "$watcher"
for number in INT TERM; do
  ovc check $$ --watch 100 --openmetrics >rounds &
  watcher=$!
  exec {lines}<rounds
  until read -r line <&"$lines" && [[ $line == "# EOF" ]]; do :; done
  kill -s "$number" "$watcher"
  exits 0 wait "$watcher"
  exec {lines}<&-
done
ovc check $$ --watch 100 >rounds &
watcher=$!
exec {lines}<rounds
read -r line <&"$lines"
exec {lines}<&-
exits 0 wait "$watcher"

exits 2 ovc check 2>err
finds '^ovc: name one' err
exits 2 ovc check $$ --all 2>err
exits 2 ovc check no-such-name 2>err
finds '^ovc: no process is named no-such-name$' err
exits 2 ovc check 4194304 2>err
finds '^ovc: no process 4194304$' err
exits 2 ovc check no-such-name --watch 1 2>err
exits 2 ovc check $$ --json --openmetrics 2>err
exits 2 ovc check $$ --watch 0 2>err
if is_named 2 kthreadd; then
  exits 2 ovc check 2 2>err
  finds '^ovc: 2 is a kernel thread' err
fi
exits 2 ovc plan 4194304 2>err
exits 2 ovc plan no-such-log 2>err
exits 2 ovc plan $$ --ratio 50 --kbytes 1 2>err
exits 2 ovc plan $$ --swap lots 2>err
exits 2 ovc plan $$ --grow 18446744073709551615 2>err
exits 0 ovc plan $$ --mode 2 --ram 1T --ratio 90 --swap 1G >out
finds '^  settings    vm.overcommit_memory = 2, overcommit_ratio 90, RAM 1,073,741,824 kB, swap 1,048,576 kB  \(assumed: ' out
exits 1 ovc plan $$ --mode 2 --ram 1T --ratio 90 --grow 1T >out
finds '^  growth      the process must free [0-9,]+ kB' out

# The host's files below a folder, as a container has them.
if ((EUID == 0)) && unshare --mount true 2>/dev/null; then
  mkdir host
  unshare --mount bash -c "mount --rbind / host && ovc check --root host --json $$" >root.json || (($? == 1))
  jq -e --argjson pid $$ '.processes[0].pid == $pid and .processes[0].exact' root.json >/dev/null || fail "--root"
fi
