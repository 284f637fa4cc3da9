#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# ovc and a container: copied into one that runs (as `docker cp` and `docker exec` do), from the host, and from a second container that
# shares the first one's processes alone (as an ephemeral container of Kubernetes does). Numbers of processes, groups, paths of logs and
# names must be right from each side, or not known.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/servers.sh"
. "$source_dir/tests/fixtures/box.sh"
command -v redis-server >/dev/null || skip "redis-server is not installed"
box_possible
redis_group='' debug_group=''
box_group redis 300
box_group debug 64
on_exit() { box_end; }
value() { jq -r "$1" "$2"; }
in_box_redis() { box_exec redis-cli -p "$port" "$@"; }
pings() { [[ $(in_box_redis ping 2>/dev/null) == PONG ]]; }
idle() { [[ $(in_box_redis info persistence) == *rdb_bgsave_in_progress:0* ]]; }

# The redis-server in there is another file than the one out here: with another build id.
box_root box redis-server redis-cli unshare
server=$work/box$(realpath "$(type -P redis-server)")
python3 - "$server" <<'END'
import subprocess, sys
notes = subprocess.run(["readelf", "-n", sys.argv[1]], capture_output=True, text=True).stdout
id = bytes.fromhex(notes.split("Build ID:")[1].split()[0])
data = open(sys.argv[1], "rb").read()
open(sys.argv[1], "wb").write(data.replace(id, bytes(b ^ 0xff for b in id)))
END
start_server() {
  free_port
  box_start box "$redis_group" -- env LD_PRELOAD=/opt/libovcshim.so OVCSHIM_LOG=/data/redis.ovc OVCSHIM_INJECT="$1" \
    redis-server --port "$port" --bind 127.0.0.1 --save '' --dir /data --enable-debug-command yes --stop-writes-on-bgsave-error no
  until_so 10 "redis in the container" pings
}
start_server fork:error=ENOMEM:when=2
in_box_redis debug populate 10000 key 4000 >/dev/null
in_box_redis bgsave >/dev/null
until_so 10 "BGSAVE" idle
box_exec ovc why /data/redis.ovc >passed.txt
finds '^1 fork passed in redis-server \(pid 1\)' passed.txt
[[ $(in_box_redis bgsave 2>&1 || true) == *ERR* ]] || fail "the second BGSAVE was not refused"

# In it, and from the host: its number there and here, the same charge, the same group under two paths.
box_exec ovc check 1 --json >inside.json
ovc check "$box_pid" --json >outside.json
[[ $(value '.processes[0].pid' inside.json) == 1 && $(value '.processes[0].pid' outside.json) == "$box_pid" ]] || fail "pids"
[[ $(value '.processes[0].charge.kb' inside.json) == "$(value '.processes[0].charge.kb' outside.json)" ]] || fail "charges differ"
box_exec ovc check redis-server >inside.txt
ovc check --all --root "/proc/$box_pid/root" >all.txt
finds '^1 process, 1 pass' all.txt
finds '^a fork of redis-server \(pid 1\) would pass now' inside.txt
finds '^ +former +BGSAVE: 1 child before' inside.txt
ovc check "$box_pid" >outside.txt
finds "^a fork of redis-server \(pid $box_pid\) would pass now" outside.txt
finds '^ +former +BGSAVE: 1 child before' outside.txt
box_exec ovc check --stacks 1 >stacks.txt
finds 'aeMain' stacks.txt
if [[ -n $redis_group ]]; then
  # A group above may be tighter, which the container cannot see: no promise.
  finds '^ +save +as far as can be seen here it survives: .* free in /sys/fs/cgroup(/memory)? \(limit 300 MiB' inside.txt
  [[ $(value '.processes[0].save.verdict' inside.json) == unknown ]] || fail "inside: $(value '.processes[0].save' inside.json)"
  finds "free in $redis_group \(limit 300 MiB" outside.txt
fi

# Through its /proc, which is another than ours; and without any.
ovc check --root "/proc/$box_pid/root" redis-server >root.txt
finds '^a fork of redis-server \(pid 1\) would pass now' root.txt
[[ -z $redis_group ]] || finds 'free in /sys/fs/cgroup(/memory)? \(limit 300 MiB' root.txt
exits 2 box_exec unshare -m sh -c '/bin/umount -l /proc && exec ovc check redis-server' 2>unmounted.txt
finds 'nothing can be read in /proc: is it mounted' unmounted.txt

# The log, in it and from the host, through its file and through /proc: who asked is named by the program in the container, though
# the host has another under that path.
named='asked by +redisFork <- rdbSaveBackground'
box_exec ovc why /data/redis.ovc >why.inside || (($? == 1))
ovc why box/data/redis.ovc >why.outside || (($? == 1))
ovc why "/proc/$box_pid/root/data/redis.ovc" >why.proc || (($? == 1))
for file in why.inside why.outside why.proc; do
  finds "$named" $file
  finds '\(pid 1\)' $file
done
ovc check box/data/redis.ovc >log.txt
finds "^a fork of redis-server \(pid $box_pid\) would pass now" log.txt

# A second container with the processes of the first, and no more of it.
box_root debug
server_pid='' redis_pid=$box_pid redis_server=$box_server
box_with="nsenter --target $redis_pid --pid" box_start debug "$debug_group" -- sleep 1000
debug_exec() { nsenter -t "$box_pid" -m -p -C -u -i --wd=/ env -i PATH=/bin:/opt "$@"; }
debug_exec ovc check 1 --json >debug.json
[[ $(value '.processes[0].pid' debug.json) == 1 && $(value '.processes[0].comm' debug.json) == redis-server ]] || fail "$(<debug.json)"
debug_exec ovc check redis-server >debug.txt
finds '^a fork of redis-server \(pid 1\) would pass now' debug.txt
finds '^ +former +BGSAVE: 1 child before' debug.txt
[[ -z $redis_group ]] || finds 'free in /sys/fs/cgroup(/memory)? \(limit 300 MiB' debug.txt
! grep -E 'limit 64 MiB' debug.txt || fail "that is its own group, not the server's"
debug_exec ovc why /proc/1/root/data/redis.ovc >why.debug || (($? == 1))
finds "$named" why.debug
kill -KILL "$box_pid"
wait "$box_server" 2>/dev/null || true
box_pid=$redis_pid box_server=$redis_server

# The server has ended, another process of the container has not: the names are found through that one, and only so.
box_stop
box_start box "$redis_group" -- sleep 1000
ovc why "/proc/$box_pid/root/data/redis.ovc" >why.after || (($? == 1))
finds "$named" why.after
ovc why box/data/redis.ovc >why.nameless || (($? == 1))
! grep -F rdbSaveBackground why.nameless || fail "names from a file that is another"
finds 'asked by +.*redis' why.nameless
ovc check box/data/redis.ovc >ended.txt
finds '^no process of box/data/redis.ovc runs any more' ended.txt
box_stop
