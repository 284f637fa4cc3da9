#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What is not a log gives one clear line on stderr and exit status 2, from every command; so do arguments that make no sense.
. "$(dirname "$0")/../fixtures/e2e.sh"

under "$work/good.ovc" true
: >empty.ovc
printf 'SQLite format 3\0 and so on' >foreign.ovc
head -c 100 good.ovc >short.ovc
head -c 70000 good.ovc >cut.ovc
mkdir folder.ovc
mkfifo fifo.ovc
# Offsets: shim/format/log_format.h, FileHeader: endian 16, version 20, machine 24, ready 28, incompatible_flags 32.
patched() { cp --sparse=always good.ovc "$1"; printf %b "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
patched newer.ovc 32 '\0\0\0\0\0\0\0\x80'
patched otherhost.ovc 24 '\x16\0\0\0'  # s390x; logs of x86-64 and aarch64 are read on both
patched bigendian.ovc 16 '\x01\x02\x03\x04'

reads=(why show forks stats)
check() {
  local status=0
  timeout 20 ovc "$@" >out 2>err </dev/null || status=$?
  ((status == 2)) || { cat out err; fail "exit status $status, not 2: ovc $*"; }
  [[ ! -s out ]] || { cat out; fail "printed on stdout: ovc $*"; }
  [[ $(wc -l <err) == 1 ]] || { cat err; fail "not one line on stderr: ovc $*"; }
  finds '^ovc: ' err
}
for command in "${reads[@]}"; do
  for log in empty foreign short newer otherhost bigendian folder missing fifo; do
    [[ $log == missing || -e $log.ovc ]] || continue
    check "$command" "$log.ovc"
    check "$command" --json "$log.ovc"
  done
done
for log in empty foreign short newer otherhost bigendian folder missing fifo; do
  [[ $log == missing || -e $log.ovc ]] || continue
  check export "$log.ovc" --to csv
  check export "$log.ovc" --to sqlite -o never.db
done
[[ ! -e never.db ]] || fail "a file without a log"
if ((EUID == 0)); then
  chmod 600 good.ovc
  chmod 755 "$work"
  exits 2 setpriv --reuid=65534 --regid=65534 --clear-groups "$build/ovc" why "$work/good.ovc" 2>err
  [[ $(wc -l <err) == 1 ]] || fail "unreadable: not one line"
fi
# None given and none found
if ! compgen -G '/var/tmp/*.ovc' >/dev/null; then
  mkdir nothing
  (cd nothing && check why)
fi

# Usage: messages may be longer than a line here.
usage() { exits 2 ovc "$@" >out 2>err </dev/null; [[ -s err && ! -s out ]] || fail "where is the message? ovc $*"; }
usage nonsense
usage show --no-such-option good.ovc
usage show --op nosuchcall good.ovc
usage show --pid abc good.ovc
usage run
# A cut log is data: what is there is read, or it is refused with one line; never a crash.
status=0
timeout 20 ovc stats cut.ovc >out 2>err || status=$?
((status <= 2)) || fail "a cut log: exit status $status"

# A closed pipe is a normal end; and the same log gives the same bytes.
for command in "${reads[@]}"; do
  (set +o pipefail; ovc "$command" good.ovc 2>err | true)
  [[ ! -s err ]] || { cat err; fail "complains of a closed pipe: $command"; }
  for option in "" --json; do
    # shellcheck disable=SC2086
    same <(ovc "$command" $option good.ovc) <(ovc "$command" $option good.ovc) "$command $option twice"
    # shellcheck disable=SC2086
    if [[ $option == --json ]]; then ovc "$command" $option good.ovc | jq -e . >/dev/null || (($? != 5 && $? != 2)) || fail "not JSON: $command"; fi
  done
done
