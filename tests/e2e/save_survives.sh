#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Will a save survive? A redis-server in a memory group: ovc says what writes may copy and what is free, from /proc before any save,
# and from its log what former saves needed; what ovc plan gives as enough is enough, what it says may be killed can be.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/redis.sh"
command -v redis-server >/dev/null || skip "redis-server is not installed"
((EUID == 0)) || skip "only root can make control groups"
top=$(awk '$3 == "cgroup" && ("," $4 ",") ~ /,memory,/ { print $2; exit }' /proc/mounts)
[[ -n $top ]] || skip "no memory controller of version 1 is mounted"
here=$top$(awk -F: '("," $2 ",") ~ /,memory,/ { print $3 }' /proc/self/cgroup)
group=${here%/}/ovcshim-$$.service
mkdir "$group" 2>/dev/null || skip "cannot make a memory group under $here"
on_exit() {
  redis_stop
  for _ in {1..100}; do
    ! rmdir "$group" 2>/dev/null || break
    sleep 0.1  # its last processes are on their way out
  done
}
limit() { echo "$1" >"$group/memory.limit_in_bytes"; }
value() { python3 -c "import json,sys; d=json.load(open(sys.argv[1])); print(eval('d'+sys.argv[2]))" "$1" "$2"; }
field() { exits "$3" ovc check --json "$redis_pid" >"$1.json"; value "$1.json" "['processes'][0]['save']$2"; }
# Every value is written while the child saves; it saves slowly, so that all of them still are shared.
write_all() { redis eval 'for i = 0, tonumber(ARGV[1]) - 1 do redis.call("SETRANGE", "key:" .. i, 0, "zz") end return 1' 0 "$1" >/dev/null; }

data_mib=96
keys=$((data_mib * 1024 / 4))
limit max 2>/dev/null || limit -1
echo $$ >"$group/cgroup.procs"  # so that the server begins there
redis_start data LD_PRELOAD="$shim" OVCSHIM_LOG="$work/redis.ovc" -- --oom-score-adj yes --oom-score-adj-values 0 0 800
echo $$ >"$here/cgroup.procs"
redis_fill $data_mib

# No limit: the host's memory counts.
exits 0 ovc check "$redis_pid" >free.txt
finds "^  save +survives: writes while a child saves copy [0-9,]+ MiB at most, [0-9,]+ MiB are free on the host" free.txt

# Room for a third of the data.
limit $(($(<"$group/memory.usage_in_bytes") + (data_mib / 3 << 20)))
exits 0 ovc check "$redis_pid" >short.txt
finds "^  save +may be killed for memory: .* are free in $group \(limit [0-9,]+ MiB, in use [0-9,]+ MiB" short.txt
finds "^  to do +a limit of [0-9,]+ MiB \(MemoryMax= in ovcshim-$$.service\) is enough" short.txt
finds "^  (to do)? +or [0-9,]+ MiB less data \(maxmemory" short.txt
exits 0 ovc plan "$redis_pid" >plan.txt
finds "^  save +may be killed" plan.txt
copies=$(field short "['copies_at_most_kb']" 0)
((copies >= data_mib * 1024)) || fail "at most $copies kB, though $data_mib MiB of data are private"

# What it says is enough is enough: all is written while a child saves. Its own memory goes up and down a little between two looks.
limit $(($(field short "['limit_that_survives_kb']" 0) * 1024 + (4 << 20)))
[[ $(field enough "['verdict']" 0) == survives ]] || fail "$(<enough.json)"
redis config set rdb-key-save-delay 100 >/dev/null
redis bgsave >/dev/null
write_all $keys
redis config set rdb-key-save-delay 0 >/dev/null
redis_bgsave_ends
[[ $(redis info persistence) == *rdb_last_bgsave_status:ok* ]] || fail "the save did not survive: $(tail -5 data/redis.log)"

# The log has what that save needed: at least the data, and no more than some pages of other kinds besides.
exits 0 ovc check "$redis_pid" >former.txt
finds "^  former +BGSAVE: 1 child before lived .* none copied more than [0-9,]+ kB, [0-9,]+ page faults of the child and [0-9,]+ of the parent" former.txt
exits 0 ovc check "$work/redis.ovc" >by_log.txt
finds "^  former +BGSAVE: 1 child before" by_log.txt
ovc check --json "$redis_pid" >former.json
needed=$(value former.json "['processes'][0]['former_saves'][0]['copied_at_most_kb']")
((needed >= data_mib * 1024 * 9 / 10 && needed < data_mib * 1024 * 3)) || fail "$needed kB of $data_mib MiB written"
finds "^  (save)? +the most that $group ever used: [0-9,]+ MiB" former.txt

# And what may be killed can be: the same with less room than the copies take.
limit $(($(<"$group/memory.usage_in_bytes") + (data_mib / 3 << 20)))
[[ $(field less "['verdict']" 0) == may-be-killed ]] || fail "$(<less.json)"
redis config set rdb-key-save-delay 1000 >/dev/null
redis bgsave >/dev/null
write_all $keys || true
for _ in {1..200}; do
  [[ $(redis info persistence) == *rdb_bgsave_in_progress:1* ]] || break
  sleep 0.05
done
exits 1 ovc why "$work/redis.ovc" >killed.txt
finds "^redis-server \(pid [0-9]+\) was killed by SIGKILL" killed.txt
finds "the OOM killer of its control group counted [0-9]+ kill" killed.txt
finds "a higher memory limit \(MemoryMax= in ovcshim-$$.service\)" killed.txt

# After its end the log alone still says what was needed.
redis_stop
exits 0 ovc check "$work/redis.ovc" >ended.txt
finds "^no process of .* runs any more" ended.txt
finds "^  former +redis-server \(pid [0-9]+\): BGSAVE: 2 children before .*1 killed" ended.txt
