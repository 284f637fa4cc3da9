# shellcheck shell=dash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2154,SC2016  # b, build: aarch64_init; awk's own $
# ovc itself on aarch64, from the tarball, and a redis-server whose BGSAVE is refused; sourced by aarch64_init, judged by ../aarch64_ovc.sh.
o=/opt/ovc/ovc
# told NAME CMD...: what it prints, and its exit status
told() {
  name=$1
  shift
  "$@" >"/out/$name.out" 2>"/out/$name.err"
  echo $? >"/out/$name.status"
}
told version $o --version
told run $o run -o /out/run.ovc -- fork_once
told injected $o run --inject fork:error=ENOMEM -o /out/injected.ovc -- fork_once
told why $o why /ramfs/refused.ovc
for command in show forks stats maps plan; do told $command $o $command /out/run.ovc; done
told report $o report /out/run.ovc -o /out/report.html
told sqlite $o export --to sqlite /out/run.ovc -o /out/run.sqlite
told check $o check 1
told all $o check --all
say "ovc has spoken"

# redis_begins NAME [NAME=VALUE...]: a server, `server`, when it answers
redis_begins() {
  log=/out/redis.$1
  shift
  $b mkdir -p /ramfs/data
  $b env "$@" redis-server --port 0 --unixsocket /ramfs/redis.sock --save '' --dir /ramfs/data --enable-debug-command yes \
    --stop-writes-on-bgsave-error no >"$log" 2>&1 &
  server=$!
  until [ "$(redis ping 2>&1)" = PONG ]; do [ -e /proc/$server ] || break; done
}
redis_ends() {
  redis shutdown nosave >/out/shutdown 2>&1
  wait $server
}
# Started in mode 2, so that its heap counts; then a limit 8 MiB above what is promised.
redis() { redis-cli -s /ramfs/redis.sock "$@"; }
kb() { $b awk -v name="$1:" '$1 == name { print $2 }' /proc/meminfo; }
if [ -x /bin/redis-server ]; then
  echo $(($(kb Committed_AS) + 1048576)) >/proc/sys/vm/overcommit_kbytes
  echo 2 >/proc/sys/vm/overcommit_memory
  redis_begins log LD_PRELOAD=/opt/ovc/libovcshim.so OVCSHIM_LOG=/ramfs/redis.ovc OVCSHIM_EVENTS_SIZE=1M OVCSHIM_CALLS_SIZE=1M
  redis debug populate 12000 key 4000 >/out/populate
  # What the kernel will ask for: each accounted mapping that a child gets.
  $b awk '/^Size:/ { size = $2 } /^VmFlags:/ && / ac/ && !/ dc/ { sum += size } END { print sum }' /proc/$server/smaps >/out/redis.charge
  echo $(($(kb Committed_AS) + 8192)) >/proc/sys/vm/overcommit_kbytes
  redis bgsave >/out/bgsave 2>&1
  echo 0 >/proc/sys/vm/overcommit_memory
  told redis_why $o why /ramfs/redis.ovc
  told redis_json $o why --json /ramfs/redis.ovc
  told redis_check $o check redis-server
  redis_ends
  say "redis was refused"
fi
# shellcheck source=tests/kernels/guest/aarch64_attach.sh
. /attach.sh
