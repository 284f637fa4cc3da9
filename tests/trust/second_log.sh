#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A program that is started as root and goes on as another user by exec (gosu, setpriv, su, runuser, chpst; the entry points of the redis,
# valkey and postgres images) is recorded: in a second log beside root's, which stays root's alone. ovc reads both as one. Where no
# second log can be made, one line says why.
. "$(dirname "$0")/../fixtures/e2e.sh"
((EUID == 0)) || skip "only root can go on as another user"
command -v setpriv >/dev/null || skip "no setpriv"
export OVCSHIM_EVENTS_SIZE=1M OVCSHIM_CALLS_SIZE=1M
user=61234
here=$work/here
mkdir "$here"
chmod 755 "$work"
chmod 777 "$here"
cp "$shim" "$build/trust/too_much" "$here/"
chmod 755 "$here"/*
cd "$here"
preload=$here/${shim##*/}
drop=(setpriv --reuid "$user" --regid "$user" --clear-groups)
on_exit() { rm -f "${strays[@]}"; }
strays=()
# recorded LOG CMD...
recorded() { : >"$work/err"; env LD_PRELOAD="$preload" OVCSHIM_LOG="$1" "${@:2}" >"$work/out" 2>>"$work/err" || true; }
quiet() { [[ ! -s $work/err ]] || { cat "$work/err" >&3; fail "$1: messages"; }; }
owner() { stat -c '%u %a' "$1"; }
# told NAME LOG: why, stats, forks of the first log tell of the process that went on as the user
told() {
  exits 1 ovc why "$2" >"$work/why"
  finds '^mmap of .* bytes refused with ENOMEM .* in too_much' "$work/why"
  ! grep -q 'nothing was refused' "$work/why" || fail "$1: why says that nothing was refused"
  exits 1 ovc why --json "$2" >"$work/why.json"
  jq -e '.found and ([.verdicts[] | select(.comm == "too_much")] | length >= 1)' "$work/why.json" >/dev/null || fail "$1: why --json"
  ovc stats "$2" >"$work/stats"
  finds "^process [0-9]+ too_much " "$work/stats"
  ovc forks "$2" >"$work/forks" || (($? == 1))
}

stray() {
  local log
  log=$(jq -r '.logs[]' "$work/why.json" | grep '^/var/tmp/ovcshim\.') || fail "no log in /var/tmp"
  strays+=("$log")
}

# --- the same process under a fixed name, and a chain of programs; a second start joins both logs
recorded "$here/a.ovc" "${drop[@]}" ./too_much
quiet "fixed name"
[[ $(owner a.ovc) == "0 600" && $(owner a.uid$user.ovc) == "$user 600" ]] || { ls -la >&3; fail "fixed name: owners"; }
told "fixed name" a.ovc
recorded "$here/a.ovc" sh -c "exec ${drop[*]} sh -c './too_much; exec ./too_much'"
quiet "a chain"
[[ $(echo a*) == "a.ovc a.uid$user.ovc" ]] || fail "a chain: $(echo a*)"
told "a chain" a.ovc
grep -q "^log $here/a.uid$user.ovc, of uid $user" "$work/why" || grep -q "^log a.uid$user.ovc, of uid $user" "$work/why" || { cat "$work/why" >&3; fail "which log is not said"; }

# --- a child; names with placeholders; a name that does not end in .ovc
recorded "$here/b.ovc" sh -c "${drop[*]} ./too_much; true"
quiet "a child"
told "a child" b.ovc
ovc forks b.ovc >"$work/forks" || (($? == 1))
recorded "$here/%c.%p.log.ovc" "${drop[@]}" ./too_much
quiet "placeholders"
told "placeholders" setpriv.*.log.ovc
recorded "$here/plain" "${drop[@]}" ./too_much
quiet "no ending"
[[ $(owner plain.uid$user) == "$user 600" ]] || fail "no ending: owner"
told "no ending" plain

# --- ovc run
: >"$work/err"
cp "$build/ovc" .
PATH=$here:$PATH ./ovc run -o "$here/run.ovc" -- "${drop[@]}" ./too_much 2>>"$work/err" || true
finds "^ovc: log: .*/run.uid$user.ovc" "$work/err"
finds '^mmap of .* bytes refused with ENOMEM .* in too_much' "$work/err"

# --- nobody else's file is taken for one: another run, another boot's, somebody who puts a log there
cp a.uid$user.ovc b.uid4711.ovc
chown 4711 b.uid4711.ovc
exits 1 ovc why b.ovc >"$work/why"
finds '^note: .*b.uid4711.ovc is named after this log, but none of its processes is known here' "$work/why"
ln -s a.uid$user.ovc b.uid5.ovc
ovc why b.ovc >"$work/why2" || (($? == 1))
same "$work/why" "$work/why2" "a link was followed"
rm b.uid5.ovc b.uid4711.ovc

# --- root's log is not written to, and what is under the second name already is left alone
cp a.ovc "$work/before"
sum() { ovc stats --json "$1" | jq -S '.processes | map(select(.comm == "too_much"))'; }
[[ $(sum a.ovc) == "[]" ]] || fail "the other user wrote to root's log"
echo data >c.uid$user.ovc
chmod 666 c.uid$user.ovc
recorded "$here/c.ovc" "${drop[@]}" ./too_much
[[ $(<c.uid$user.ovc) == data ]] || fail "somebody's file was written to"
# Then in /var/tmp, where ovc finds it.
told "another's file in its place" c.ovc
stray

# --- the folder is not the user's to write to
chmod 755 "$here"
recorded "$here/d.ovc" "${drop[@]}" sh -c './too_much; ./too_much; exec ./too_much'
quiet "in /var/tmp"
told "in /var/tmp" d.ovc
stray
((${#strays[@]} == 2)) || fail "logs: ${strays[*]}"
# Nor /var/tmp: the reason, once.
if unshare -m true 2>/dev/null; then
  : >"$work/err"
  # shellcheck disable=SC2016  # for the inner shell
  unshare -m bash -c 'mount --bind /var/tmp /var/tmp && mount -o remount,bind,ro /var/tmp && mount --bind -o rw "$1" "$1" 2>/dev/null; mount -o remount,bind,rw "$1"; exec env LD_PRELOAD="$2" OVCSHIM_LOG="$1/e.ovc" "${@:3}"' \
    bash "$here" "$preload" "${drop[@]}" sh -c './too_much; ./too_much; exec ./too_much' >"$work/out" 2>>"$work/err" || true
  [[ $(wc -l <"$work/err") == 1 ]] || { cat "$work/err" >&3; fail "not one line"; }
  finds "^ovcshim: the log is another user's, and this user's own beside it cannot be made: $here/e.uid$user.ovc: permission denied; this program runs unrecorded\$" "$work/err"
fi

# --- a log of a run before, whose process has a parent of the same number as one of this run: no relative
again=$work/again
mkdir "$again"
chmod 777 "$again"
last=/proc/sys/kernel/ns_last_pid
if unshare -pf --mount-proc test -w $last 2>/dev/null; then
  # shellcheck disable=SC2016  # for the inner shell
  unshare -pf --mount-proc bash -c 'last=$1 again=$2 preload=$3
    echo 200 >$last
    bash -c "$4 env LD_PRELOAD=$preload OVCSHIM_LOG=$again/before.ovc sh -c \"true & wait\"; echo \$\$ >$again/before.pid"
    now() { read -r seconds _ </proc/uptime; }
    now
    then=$seconds
    until [[ $seconds != "$then" ]]; do now; done  # a tick of the clock that start times are told in
    echo 200 >$last
    env LD_PRELOAD="$preload" OVCSHIM_LOG="$again/now.ovc" sh -c "true; echo \$\$ >$again/now.pid"
    :' \
    bash $last "$again" "$preload" "${drop[*]}"
  [[ $(<"$again/before.pid") == "$(<"$again/now.pid")" ]] || fail "the number did not come again: $(cat "$again"/*.pid)"
  [[ $(owner "$again/before.ovc") == "$user 600" ]] || fail "the log before: $(owner "$again/before.ovc")"
  exits 0 ovc why --json "$again/now.ovc" >"$work/why.json"
  jq -e --arg log "$again/now.ovc" '.logs == [$log]' "$work/why.json" >/dev/null || { jq .logs "$work/why.json" >&3; fail "a run before was taken for a part of this one"; }
else
  echo "left out: a number of a process that comes again ($last cannot be written)"
fi
