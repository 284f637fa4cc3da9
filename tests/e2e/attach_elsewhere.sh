#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `ovc attach` to a process that sees other files: a mount namespace in which the shim is not, a root of its own, a library that was
# replaced on disk since. The library comes in as a file in memory, no descriptor stays; the log lies where the process can make it.
. "$(dirname "$0")/../fixtures/e2e.sh"
[[ $(uname -m) == @(x86_64|aarch64) ]] || skip "attaching is for x86-64 and aarch64"
unshare -m true 2>/dev/null || skip "no mount namespaces"
pid=
on_exit() { exec 9>&- 8>&-; [[ -z $pid ]] || kill -KILL "$pid" 2>/dev/null || true; }
mkfifo in out
# begins COMMAND...: a shell that runs what it reads
begins() {
  "$@" <in >out &
  pid=$!
  exec 9>in 8<out
  shell_pid
}
# its number as we see it: it may be a child of what was started
shell_pid() {
  local word
  echo 'echo ready' >&9
  read -r word <&8
  [[ $word == ready ]] || fail "the shell says $word"
}
ends() {
  exec 9>&-
  wait "$pid" || fail "it noticed"
  pid=
  exec 8<&-
}
# recorded: attached to, a fork, its verdict readable from here, detached; with nothing left over
recorded() {
  local before after log
  before=$(ls "/proc/$pid/fd")
  exits 0 ovc attach "$pid" >said
  log=$(sed -n 's/^.* is recorded from now on, in //p' said)
  [[ -r $log ]] || fail "the log cannot be read from here: $log"
  ! grep 'not known' said || fail "$(cat said)"
  after=$(ls "/proc/$pid/fd")
  [[ $before == "$after" ]] || fail "descriptors: $before, then $after"
  echo '(exit 3); echo forked' >&9
  local word
  read -r word <&8
  [[ $word == forked ]] || fail "the shell says $word"
  exits 0 ovc forks "$log" >listed
  finds 'fork' listed
  finds ' 3' listed
  exits 0 ovc show --stacks --op fork "$log" >stacks
  ! grep 'memfd' stacks || fail "the shim's own frames are shown"
  exits 0 ovc detach "$pid" >said
  exits 0 ovc attach "$pid" >said  # the library is still there
  exits 0 ovc detach "$pid" >said
  rm -f "$log" "$(sed -n 's/^.* is recorded from now on, in //p' said)"
}
begins unshare -m bash -c "mount -t tmpfs none '$build' && mount -t tmpfs none /var/tmp && exec bash"
recorded
ends

# A root of its own, with nothing but a shell and /proc.
root=$work/root
mkdir -p "$root"/{proc,tmp,bin}
copy() { mkdir -p "$root$(dirname "$1")"; cp -L "$1" "$root$1"; }
shell=$(command -v bash)
cp "$shell" "$root/bin/bash"
while read -r library; do copy "$library"; done < <(ldd "$shell" | grep -oE '/[^ ]+')
begins unshare -m bash -c "mount -t proc none '$root/proc' && exec chroot '$root' /bin/bash"
recorded
ends
echo "all recorded"
