#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A log holds addresses and names of a program: its owner alone may read it. It is made exclusively, no link is followed to it, and no
# name of a program leads out of its folder. Set-uid programs: tests/hostile/foreign_images.sh. Links: tests/trust/log_places.sh.
. "$(dirname "$0")/../fixtures/e2e.sh"
export OVCSHIM_EVENTS_SIZE=64K OVCSHIM_CALLS_SIZE=64K
readonly nobody=65534

# --- the mode, whatever the umask; a umask that takes more away is obeyed
for mask in 000 022 077; do
  (umask $mask && under "$work/mask$mask.ovc" true)
  [[ $(stat -c %a "mask$mask.ovc") == 600 ]] || fail "umask $mask: mode $(stat -c %a "mask$mask.ovc")"
done
(umask 777 && under "$work/mask777.ovc" true) 2>mask.err
[[ $(stat -c %a mask777.ovc) == 0 ]] || fail "umask 777: mode $(stat -c %a mask777.ovc)"
[[ ! -s mask.err ]] || { cat mask.err >&3; fail "umask 777: messages"; }

# --- how each log is opened
if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
  strace -f -qq -e trace=openat -o opens.txt -E LD_PRELOAD="$shim" -E OVCSHIM_LOG="$work/opens.ovc" sh -c 'ls / >/dev/null; true'
  finds 'openat\(AT_FDCWD, ".*/opens\.ovc", O_RDWR\|O_CREAT\|O_EXCL\|O_NOFOLLOW\|O_CLOEXEC, 0600\) = [0-9]+' opens.txt
  if grep '/opens\.ovc"' opens.txt | grep -v 'O_NOFOLLOW.*O_CLOEXEC' >&2; then cat opens.txt >&3; fail "the log is opened in another way"; fi
fi

# --- no name of a program leads out of the folder, and none makes a hidden file
mkdir -p names/logs
awkward=("..evil" ".hidden" $'new\nline' $'es\033cape' "per%pcent" "-dash" "with space" "...")
for name in "${awkward[@]}"; do
  cp /bin/true "names/$name"
  env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/names/logs/%c.%p.ovc" "names/$name" || fail "exit status $? of $name"
done
[[ $(find names/logs -type f -printf x) == xxxxxxxx ]] || { find names/logs >&3; fail "not a log for each name"; }
[[ -z $(find names/logs -mindepth 1 \( -name '.*' -o -name '*[[:cntrl:]]*' \)) ]] || { find names/logs >&3; fail "a hidden or torn name"; }
[[ -z $(find "$work/names" -path "$work/names/logs" -prune -o -name '*.ovc*' -print) ]] || fail "a log elsewhere"
# A template itself may lead anywhere: whoever sets it could as well write the file.

if ((EUID != 0)) || ! command -v setpriv >/dev/null; then
  echo "not tested without root: other users"
  exit 0
fi
as_nobody() { setpriv --reuid $nobody --regid $nobody --clear-groups "$@"; }
chmod 755 "$work"
mkdir -m 1777 public
cp "$shim" public/  # the build may lie where nobody else may look

# --- somebody else's file under the log's name, even one that is a log: neither read into nor written to
as_nobody env LD_PRELOAD="$work/public/${shim##*/}" OVCSHIM_LOG="$work/public/theirs.ovc" true
[[ $(stat -c %u public/theirs.ovc) == "$nobody" ]] || fail "nobody has no log"
cp public/theirs.ovc theirs.before
echo text >public/text.ovc
chown $nobody public/text.ovc
chmod 666 public/text.ovc
: >other.err
under "$work/public/text.ovc" true 2>>other.err || fail "exit status $?"
(($(wc -l <other.err) == 1)) || { cat other.err >&3; fail "text.ovc of another user: not one line"; }
finds '^ovcshim: .*; this program runs unrecorded$' other.err
# A log of another user's may be that of a program that dropped its privileges or took some: it gets one of its own beside it.
under "$work/public/theirs.ovc" true 2>theirs.err || fail "exit status $?"
[[ ! -s theirs.err && $(stat -c '%u %a' "public/theirs.uid$EUID.ovc") == "$EUID 600" ]] || fail "no log of our own beside theirs"
rm "public/theirs.uid$EUID.ovc"
cmp public/theirs.ovc theirs.before || fail "somebody else's log was written to"
[[ $(cat public/text.ovc) == text ]] || fail "somebody else's file was written to"
[[ ! -e public/theirs.ovc.old ]] || fail "somebody else's log was moved"

# --- somebody else's log that says it knows our ancestors: a program without a fixed log name does not follow it there
ln -s "$work/public/theirs.ovc" "/var/tmp/.ovcshim.test.$$"
on_exit() { rm -f "/var/tmp/.ovcshim.test.$$"; }
chown -h $nobody "/var/tmp/.ovcshim.test.$$"
under "$work/own.%p.ovc" true
cmp public/theirs.ovc theirs.before || fail "a link of another user was followed"
compgen -G "own.*.ovc" >/dev/null || fail "no log of its own"

# --- a child with another user is recorded in the log that it was forked with; one that executes a program cannot open it, nor make one
# beside it (tests/trust/second_log.sh), and has its own in /var/tmp
chmod 700 "$work/names"
env LD_PRELOAD="$work/public/${shim##*/}" OVCSHIM_LOG="$work/drop.ovc" setpriv --reuid $nobody --regid $nobody --clear-groups sh -c 'id -u; cat drop.ovc; echo $?' >drop.out 2>>drop.err
printf '%s\n1\n' $nobody | diff -u - drop.out || fail "a child without privileges"
finds 'cat: drop.ovc: Permission denied' drop.err
[[ $(grep -vc '^cat: ' drop.err) == 0 ]] || { cat drop.err >&3; fail "messages of a child without privileges"; }
theirs=$(ovc why --json drop.ovc | jq -r '.logs[1]')
[[ $theirs == /var/tmp/ovcshim.*.ovc && $(stat -c '%u %a' "$theirs") == "$nobody 600" ]] || fail "no log of a child without privileges: $theirs"
rm "$theirs"

# --- no descriptor of the log is there for a child to use
under "$work/fds.ovc" sh -c 'ls -l /proc/self/fd; cat /proc/self/maps' >fds.out
if grep -F '/fds.ovc' fds.out | grep -vE '^[0-9a-f]+-[0-9a-f]+ rw-s '; then fail "an open log"; fi
