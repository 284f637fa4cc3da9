#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A program under the shim prints what it prints without, ends as it ends without, and its children's environment is the
# same; also where the log cannot be had, but for one line of the shim's.
. "$(dirname "$0")/../fixtures/e2e.sh"

cases=(true false "ls -l /usr" "sh -c 'echo a; exit 3'" "bash -c 'echo \$((6*7)) | cat; wait'" "seq 100000"
  "sort /etc/passwd" "sh -c 'kill -TERM \$\$'" "find /etc/apt -name '*.gpg'" "printf 'a%sb' c" "dd if=/dev/zero bs=1M count=3 status=none"
  "sh -c 'ls /nowhere'" "awk 'BEGIN { while (i++ < 1000) s = s i; print length(s) }'")
without() { env "$@"; }  # a function like under(), so that bash reports ends alike
for command in "${cases[@]}"; do
  plain=0 shimmed=0
  (without bash -c "exec $command") >plain.out 2>plain.err || plain=$?
  (under "$work/a.ovc" bash -c "exec $command") >shim.out 2>shim.err || shimmed=$?
  ((plain == shimmed)) || fail "exit status $shimmed, without the shim $plain: $command"
  same plain.out shim.out "output of $command"
  same plain.err shim.err "messages of $command"
  rm -f a.ovc
done

# The environment, as the program and its grandchildren see it: nothing added, changed or reordered but what we set.
ours='^(LD_PRELOAD|OVCSHIM_LOG|_|SHLVL)='
env >plain.env
under "$work/env.ovc" env >shim.env
same <(grep -vE "$ours" plain.env) <(grep -vE "$ours" shim.env) "environment"
under "$work/env.ovc" bash -c 'sh -c env' >grandchild.env
same <(grep -vE "$ours" plain.env | sort) <(grep -vE "$ours" grandchild.env | sort) "environment of a grandchild"
[[ $(grep -c '^LD_PRELOAD=' grandchild.env) == 1 ]] || fail "LD_PRELOAD in a grandchild"
ls /proc/self/fd >plain.fds
under "$work/fd.ovc" ls /proc/self/fd >shim.fds
same plain.fds shim.fds "open descriptors"

# No log: the program runs as if nothing were there; one line on stderr.
ls /etc/hostname /etc/hostname >plain.out
no_log() {
  local name=$1 log=$2
  : >no.err
  under "$log" sh -c 'ls /etc/hostname; ls /etc/hostname' >no.out 2>>no.err || fail "$name: exit status $?"
  same plain.out no.out "$name: output"
  (($(wc -l <no.err) == 1)) || { cat no.err; fail "$name: not one line"; }
  finds '^ovc(shim)?: ' no.err
}
mkdir folder
no_log "folder missing" "$work/nowhere/a.ovc"
no_log "not writable" /proc/a.ovc
no_log "a folder in its place" "$work/folder"
(ulimit -f 8 && no_log RLIMIT_FSIZE "$work/limited.ovc")
if ((EUID == 0)) && unshare -m true 2>/dev/null; then
  export -f no_log under same finds fail
  export work shim
  # shellcheck disable=SC2016  # for the inner shell
  unshare -m bash -euc 'mount -t tmpfs -o size=1m none folder; no_log "full disk" "$work/folder/a.ovc"; [[ -z $(ls -A folder) ]] || fail "left over"'
fi

# Switched off: no log at all.
env LD_PRELOAD="$shim" OVCSHIM=0 OVCSHIM_LOG="$work/off.ovc" true
[[ ! -e off.ovc ]] || fail "OVCSHIM=0 made a log"
