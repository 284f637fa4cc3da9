#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Will the save survive, in memory groups of either version: what `ovc check` says of a process in one, before it forks, is what happens when
# it then writes all of its data while the child lives. The limit of its own group, that of the one above; of version 2 memory.high, which
# slows down and kills nobody, and memory.oom.group, by which the parent goes, too. A python3 stands for the server: it is everywhere.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/servers.sh"
. "$source_dir/tests/fixtures/memory_groups.sh"
command -v python3 >/dev/null || skip "python3 is not installed"
groups_find || skip "$groups_why"
data_mib=64
swap_kb=$(awk '$1 == "SwapTotal:" { print $2 }' /proc/meminfo)
outer=$groups_here/ovcshim-$$ inner=$groups_here/ovcshim-$$/inner
pid=
on_exit() {
  [[ -z $pid ]] || kill -KILL "$pid" 2>/dev/null || true
  group_gone "$inner"
  group_gone "$outer"
}
group_make "$outer"
[[ $groups_version == 1 ]] || echo +memory >"$outer/cgroup.subtree_control"

cat >saver.py <<'END'
import mmap, os, sys
size = int(sys.argv[1]) << 20
data = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
def write_all(word):
    for at in range(0, size, 4096):
        data[at] = word
write_all(1)
word = 1
print("ready", flush=True)
for line in sys.stdin:
    hold, let_go = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(let_go)
        open("/proc/self/oom_score_adj", "w").write("900")
        os.read(hold, 1)
        os._exit(0)
    os.close(hold)
    while open(f"/proc/{child}/oom_score_adj").read().strip() != "900":
        pass
    word = 3 - word
    write_all(word)
    os.close(let_go)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
END
# The program's own files belong to whoever read them first. Charged to the group, they would be dropped and read again without end where
# memory is short: the kernel kills nobody while it finds a page to give back.
python3 -c 'import mmap, os, sys'
# begins: a saver in a fresh inner group; sets pid
begins() {
  if [[ -n $pid ]]; then
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    exec {to_saver}>&- {from_saver}<&-
  fi
  group_gone "$inner"
  group_make "$inner"
  rm -f in out
  mkfifo in out
  (echo $BASHPID >"$inner/cgroup.procs" && exec python3 saver.py $data_mib <in >out 2>saver.err) &
  pid=$!
  exec {to_saver}>in {from_saver}<out
  read -r -u "$from_saver" -t 300 || true
  [[ $REPLY == ready ]] || fail "the saver: $(<saver.err)"
}
# saves: how the child of a save ends: 0, -9, or "gone" if the saver itself is
saves() {
  echo save >&"$to_saver"
  read -r -u "$from_saver" -t 300 answer || answer=gone
  echo "$answer"
}
used_mib() { echo $(($(<"$1/$([[ $groups_version == 1 ]] && echo memory.usage_in_bytes || echo memory.current)") >> 20)); }
says() { # REGEX: the answer of ovc check, kept in said and said.json
  ovc check "$pid" >said || (($? == 1))
  ovc check --json "$pid" >said.json || (($? == 1))
  finds "$1" said
}
field() { jq -r ".processes[0].save$1" said.json; }
# short_by_half GROUP: prints what ovc says is enough in it, in MiB, and limits it to half of the data less: what its file cache
# holds is not known to us
short_by_half() {
  group_limit "$1" $(($(used_mib "$1") + 2))
  says '^  save +may be killed for memory: '
  local enough=$(($(field .limit_that_survives_kb) / 1024))
  group_limit "$1" $((enough - data_mib / 2))
  says '^  save +may be killed for memory: '
  echo $((enough + 5))
}
limited() { # GROUP: with half of the data short of what is needed, then with what ovc says is enough
  begins
  local enough
  enough=$(short_by_half "$1")
  [[ $(field .group.path) == "$1" ]] || fail "said of $(field .group.path), limited is $1"
  # "may be": where the host has swap, the kernel may find a way out.
  [[ $(saves) == -9 ]] || ((swap_kb)) || fail "not killed, though the limit of $1 is short by half of the data"
  begins
  group_limit "$1" "$enough"
  says '^  save +survives: '
  [[ $(saves) == 0 ]] || fail "killed, though $enough MiB in $1 are said to be enough"
}
unlimited() { [[ $groups_version == 1 ]] && echo -1 >"$1/$groups_limit" || echo max >"$1/$groups_limit"; }

limited "$inner"
limited "$outer"
if [[ $groups_version == 1 ]]; then
  [[ ! -w $outer/memory.memsw.limit_in_bytes ]] || echo -1 >"$outer/memory.memsw.limit_in_bytes"
  exit 0
fi
unlimited "$outer"

# --- memory.high: some MiB short of what is needed
begins
says '^  save +survives: '
high=$(($(used_mib "$inner") + $(field .copies_at_most_kb) / 1024 - 6))
echo $((high << 20)) >"$inner/memory.high"
says '^  (save)? +slow after [0-9]+ MiB: from memory.high of .*/inner on \(limit '"$high"' MiB'
finds '^  save +survives: ' said
[[ $(saves) == 0 ]] || fail "memory.high killed it"

# --- memory.oom.group: not the child alone
begins
echo 1 >"$inner/memory.oom.group"
short_by_half "$inner" >enough
says '^  (save)? +not the child alone: memory.oom.group = 1 in .*/inner, the OOM killer ends all of its processes'
[[ $(saves) == gone ]] || ((swap_kb)) || fail "the saver lives, though its group ends together"
