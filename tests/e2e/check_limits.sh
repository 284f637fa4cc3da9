#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The limits on tasks as `ovc check` predicts them, and then a real fork: the control group's, the user's, a pid namespace
# whose first process has ended. And who may not be read.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/forker.sh"
group=
on_exit() { forker_stop; [[ -z $group ]] || rmdir "$group"; }
((EUID == 0)) || skip "not root"
chmod 755 "$work"
cp "$build/ovc" "$build/programs/forker" .
nobody=(setpriv --reuid "$((200000 + $$))" --regid 65534 --clear-groups)  # a user without any other process, whose tasks would count

# predicts VERDICT CAUSE ANSWER: what check says, and what a fork then gives
predicts() {
  local said real
  said=$(checked '| "\(.verdict) \(.cause)"')
  real=$(tell fork)
  tell nothing >/dev/null
  [[ "$said $real" == "$1 $2 $3" ]] || fail "$said, and the fork: $real; not $*"
  echo "$said: $real"
}

forker_start ac=1024
predicts pass null passed
top=$(awk '($3 == "cgroup" && ("," $4 ",") ~ /,pids,/) || ($3 == "cgroup2" && n++ == 0) { print $2; exit }' /proc/mounts)
group=$top/ovcshim-check.$$
if mkdir "$group" 2>/dev/null && [[ -e $group/pids.max ]] && echo "$forker_pid" >"$group/cgroup.procs"; then
  echo 1 >"$group/pids.max"
  predicts fail pids-max "refused Resource temporarily unavailable"
  finds "pids.max of $group\"" check.json
  echo 2 >"$group/pids.max"
  predicts pass null passed
else
  echo "left out: no pids controller here"
fi
forker_stop
[[ ! -d $group ]] || rmdir "$group"
group=

# A memory limit is told; nobody can say beforehand that it will refuse.
status=0
# shellcheck disable=SC2016  # for the inner shell
memcg.sh 268435456 bash -c 'ovc check $$ --json >memcg.json' >out || status=$?
if ((status == 77)); then
  echo "left out: $(<out)"
else
  [[ $status == 0 && $(jq '.processes[0].limits[] | select(.cause == "memcg") | .limit' memcg.json | head -n 1) == 262144 ]] || fail "memory limit"
fi

for limit in 1 2; do
  coproc FORKER { exec prlimit --nproc=$limit "${nobody[@]}" ./forker; }
  # shellcheck disable=SC2153  # set by coproc
  forker_pid=$FORKER_PID
  read -r _ <&"${FORKER[0]}"
  if ((limit == 1)); then predicts fail rlimit-nproc "refused Resource temporarily unavailable"; else predicts pass null passed; fi
  forker_stop
done

coproc FORKER { exec unshare --pid "$build/programs/forker"; }
forker_pid=$FORKER_PID
read -r _ <&"${FORKER[0]}"
predicts pass null passed  # the child is the namespace's init, and ends
predicts fail pidns-init-dead "refused ENOMEM"
forker_stop

# Somebody else's process: a reason, not a failure of the rest; bounds are to be had.
forker_start ac=1024
exits 2 "${nobody[@]}" ./ovc check "$forker_pid" >out 2>err
finds "^ovc: not known for forker \(pid $forker_pid\): no permission to read its smaps; --estimate needs no permission$" err
finds '^  cause       unknown: no permission to read its smaps$' out
exits 0 "${nobody[@]}" ./ovc check "$forker_pid" --estimate >out
finds '^  charge      between 0 and [0-9,]+ kB, its whole address space$' out
exits 0 "${nobody[@]}" ./ovc check --all >out
finds "^ *$forker_pid +forker +unknown .* no permission to read its smaps$" out
finds '^ *[0-9]+ +ovc +pass ' out
