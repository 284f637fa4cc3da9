#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The line that the shim says where no log can be made goes to descriptor 2, which may be anything: a pipe that nobody reads or that is
# full, a data file, a file at its limit, a terminal that stops whoever writes to it. The program ends as without the shim, with the
# same signals pending, and nothing of the kind changes; where it may be said it is said, once for each tree of processes.
. "$(dirname "$0")/../fixtures/e2e.sh"
python3 -c 'import os; os.openpty()' 2>/dev/null || skip "no pseudo-terminals here"

# --- kinds of descriptor 2
own_message >plain.out 2>/dev/null
own_message "$shim" "$work/nowhere/a.ovc" >shim.out 2>said
same plain.out shim.out "what a program without a log does, by its descriptor 2"
cat >may_say <<'END'
a_pipe 1
a_pipe_of_packets 1
a_named_pipe 1
a_file_appended_to 1
a_file_in_memory_appended_to 1
a_socket 1
a_datagram_socket 1
a_socket_of_packets 1
a_terminal 1
a_background 1
END
same may_say <(grep -v ' 0$' said) "where the line is said"
(($(wc -l <said) > 45)) || fail "the table is not made to its end"

# --- once for each tree: children, programs that become others, at the same time and one after the other
inside=()  # what the tree is started in, itself without the shim
told() {
  local name=$1 trees=$2
  shift 2
  : >tree.err
  ${inside[@]+"${inside[@]}"} env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/nowhere/a.ovc" "$@" 2>>tree.err >tree.out || fail "$name: exit status $?"
  [[ $(grep -c '^ovcshim: .*; this program runs unrecorded$' tree.err) == "$trees" && $(wc -l <tree.err) == "$trees" ]] ||
    { cat tree.err >&3; fail "$name: not said once"; }
}
told "one program" 1 true
told "a script of 100 commands" 1 bash -c 'for i in {1..100}; do /bin/true; done'
told "a pipeline" 1 bash -c 'seq 3 | sort | cat | /bin/cat >/dev/null; /bin/true & /bin/true & wait'
told "programs that become others" 1 sh -c 'exec sh -c "exec env true"'
told "a child of a child" 1 sh -c 'sh -c "sh -c true; /bin/true"; /bin/true'
told "another session" 1 bash -c 'setsid -w /bin/true; /bin/true'
told "where only a child can say it" 1 sh -c 'exec 3>&2 2>silent; exec sh -c "/bin/true 2>&3; /bin/true 2>&3; true"'
# The next tree is told again.
told "the same once more" 1 true
if ((EUID == 0)) && unshare -fp --mount-proc true 2>/dev/null; then
  inside=(unshare -fp --mount-proc)
  told "the first process of a container" 1 sh -c '/bin/true; exec sh -c "/bin/true; exec true"'
  # Nowhere a link can be left: the parent says it, but a program that another becomes says it again.
  # shellcheck disable=SC2016  # for the inner shell
  inside=(unshare -m bash -c 'for d in /var/tmp /tmp /dev/shm; do mount --bind $d $d && mount -o remount,bind,ro $d; done; exec "$@"' bash)
  told "nothing writable" 1 sh -c '/bin/true; /bin/true; true'
  inside=()
fi

# --- what is left behind is taken away by the next that speaks
mine() { find /var/tmp -maxdepth 1 -name '.ovcshim-told.*' -uid "$EUID" -printf '%f\n'; }
told "the last" 1 true
for link in $(mine); do [[ -d /proc/${link##*.} ]] || gone+=("$link"); done
((${#gone[@]} <= 2)) || fail "left over: ${gone[*]}"
