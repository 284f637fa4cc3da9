#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `ovc attach --malloc`: every call of malloc's family is counted, of the program, of modules bound at once and at their first call, of
# libc for them, by pointers in data, and of a forked child; blocks from before may be given back; afterwards the memory of all modules
# is what it was, byte for byte. Of redis-server, too, whose malloc is another library's.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/redis.sh"
[[ $(uname -m) == @(x86_64|aarch64) ]] || skip "attaching is for x86-64 and aarch64"
pid=
on_exit() { exec 9>&- 8>&-; redis_stop; [[ -z $pid ]] || kill -KILL "$pid" 2>/dev/null || true; }
mkfifo in out
source=$source_dir/tests/programs/bound_calls.c
gcc -O0 -DMODULE -shared -fPIC -Wl,-z,lazy -o lazy.so "$source" || skip "no compiler"
gcc -O0 -DMODULE -shared -fPIC -Wl,-z,now -o now.so "$source"
gcc -O0 -DMODULE -shared -fPIC -fno-plt -o noplt.so "$source"
gcc -O0 -DMODULE -shared -fPIC -o later.so "$source"

# begins COMMAND...: bound_calls, when it waits for a command
begins() {
  "$@" <in >out &
  pid=$!
  exec 9>in 8<out
  says ready
}
says() { local word; read -r word <&8 || :; [[ $word == "$1" ]] || fail "the program says $word, not $1"; }
orders() { local i; for ((i = 0; i < ${#1}; ++i)); do echo -n "${1:i:1}" >&9; says "done"; done; }
ends() {
  exec 9>&- 8>&-
  wait "$pid" || fail "the program ended with status $?"
  pid=
}
# counted LOG PID: what stats tells of the calls of the process, NAME=COUNT
counted() {
  exits 0 ovc stats "$1" --json >stats.json
  jq -r --argjson pid "$2" '.processes[] | select(.pid == $pid).totals.calls | to_entries[]
    | select(.key | test("alloc|^free$|memalign")) | "\(.key)=\(.value.calls)"' stats.json | sort
}
# rounds N WORK OLD: what N rounds in all, WORK rounds of the program's own and OLD of blocks from before come to
rounds() {
  printf '%s\n' "aligned_alloc=$1" "calloc=$((100 * $1))" "free=$((1104 * $1 + 200 * $2 + 1000 * $3))" "malloc=$((1000 * $1 + 200 * $2))" \
    "memalign=$1" "posix_memalign=$1" "realloc=$((100 * $1 + 1000 * $3))" "valloc=$1" | grep -v '=0$' | sort
}
# modules PID: every mapping of a file but the shim's, and what is in it
modules() {
  python3 - "$1" <<'PY'
import hashlib, sys
memory = open("/proc/%s/mem" % sys.argv[1], "rb", 0)
for line in open("/proc/%s/maps" % sys.argv[1]):
    words = line.split()
    if len(words) < 6 or not words[5].startswith("/") or "libovcshim" in words[5] or words[1][0] != "r": continue
    start, end = (int(n, 16) for n in words[0].split("-"))
    memory.seek(start)
    print(line.strip(), hashlib.sha256(memory.read(end - start)).hexdigest())
PY
}
attaches() {
  rm -f "$1"
  exits 0 ovc attach --malloc "$pid" -o "$work/$1" >said 2>err
  finds '^  malloc and its family: [0-9]+ pointers to them in its modules changed; not seen are libraries that it loads later$' said
}
detaches() {
  exits 0 ovc detach "$pid" >said
  ! grep -E 'given back|leave the shim' said || fail "not all was given back"
}

for how in -Wl,-z,lazy -Wl,-z,now -no-pie; do
  gcc -O0 "$how" -o bound_calls "$source"
  begins ./bound_calls ./lazy.so ./now.so ./noplt.so
  attaches first.ovc
  orders wow
  detaches
  orders w  # seen by nobody
  counted first.ovc "$pid" >calls
  rounds 8 2 1 | same - calls "calls of $how"
  jq -e '.processes[0].served_by.malloc == "libc.so.6"' stats.json >/dev/null || fail "served by $(jq -c '.processes[].served_by' stats.json)"
  jq -r '.not_seen[]' stats.json >unseen
  finds 'before ovc attach; after it exec, .* of malloc and its family the calls of libraries loaded since, of the loader, and' unseen

  # Nothing but the attaching between the two: all that is mapped is the same, and as it was.
  modules "$pid" >before
  attaches second.ovc
  modules "$pid" >while
  ! cmp -s before while || fail "nothing was changed: then nothing can be seen"
  detaches
  modules "$pid" >after
  same before after "modules of $how"

  # A child has it, and a module that comes later is bound as ever; what was taken meanwhile still works.
  attaches third.ovc
  orders kl
  detaches
  orders pwo
  child=$(ovc stats third.ovc --json | jq --argjson pid "$pid" '[.processes[].pid] - [$pid] | .[0]')
  counted third.ovc "$child" >calls
  rounds 4 1 0 | same - calls "calls of the child"
  counted third.ovc "$pid" >calls
  ! grep -E '^(malloc|valloc)' calls || fail "more than dlopen was seen: $(cat calls)"
  ends
done

# Sizes and stacks as of a preloaded program: a big call is an event.
begins ./bound_calls ./now.so
attaches small.ovc
orders w
detaches
exits 0 ovc show small.ovc --op valloc >shown
finds 'valloc\(100\)' shown
exits 2 ovc attach "$pid" --malloc --calls-size nonsense 2>err || fail "no size"
ends

# Threads in malloc and in signal handlers all the time.
begins_many() { many_threads 64 <in >out & pid=$!; exec 9>in 8<out; says ready; }
begins_many
for round in 1 2 3; do
  attaches "many.$round.ovc"
  exits 0 ovc detach "$pid" >said
  ! grep 'given back' said || fail "round $round"
done
exec 9>&-
read -r ended <&8
[[ $ended == *"all right" ]] || fail "the program noticed: $ended"
wait "$pid"
pid=
exec 8<&-
counted many.1.ovc "$(ovc stats many.1.ovc --json | jq '.processes[0].pid')" >calls
finds '^malloc=[1-9]' calls

# redis-server: its malloc is that of libjemalloc, by pointers of both kinds.
if [[ $(ldd "$(command -v redis-server)") == *libjemalloc* ]]; then
  redis_start server
  redis set some value >out.txt
  redis_fill 8
  pid=$redis_pid
  attaches redis.ovc
  redis debug sleep 0 >out.txt
  redis flushall sync >out.txt  # blocks from before
  redis_fill 8
  redis set some value >out.txt
  redis bgsave >out.txt
  redis_bgsave_ends
  detaches
  pid=
  counted redis.ovc "$redis_pid" >calls
  frees=$(sed -n 's/^free=//p' calls) mallocs=$(sed -n 's/^malloc=//p' calls)
  ((frees >= 3 * 2048 && mallocs >= 3 * 2048)) || fail "2,048 keys went and came: $(cat calls)"
  jq -e '.processes[0].served_by | .malloc == .free and (.malloc | test("libjemalloc"))' stats.json >/dev/null ||
    fail "served by $(jq -c '.processes[].served_by' stats.json)"
  [[ $(redis get some) == value && $(redis dbsize) == 2049 ]] || fail "the data"
  redis_stop
else
  echo "left out: redis-server here has its own allocator"
fi
