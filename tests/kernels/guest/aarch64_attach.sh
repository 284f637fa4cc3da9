# shellcheck shell=dash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2154,SC2016,SC2034,SC2046,SC2086,SC2181  # b, o, build: aarch64_init, aarch64_ovc.sh; awk's own $; words
# `ovc check --stacks`, `ovc attach` and `ovc detach` on aarch64: a redis-server that was started without anything, and threads in malloc, in
# signal handlers and in calls that a stop may end with EINTR; sourced by aarch64_ovc.sh, judged by ../aarch64_attach.sh.
# code PID: what libc's code is, in memory
code() {
  $b awk '/libc\.so\.6$/ && $2 ~ /x/ { print $1; exit }' "/proc/$1/maps" | while IFS=- read -r from to; do
    $b dd if="/proc/$1/mem" bs=4096 skip=$((0x$from / 4096)) count=$(((0x$to - 0x$from) / 4096)) 2>/dev/null | $b md5sum
  done
}
# rounds NAME PID LAST [WHILE]: attached to and let go again and again, each second time with malloc, while the process WHILE is there
rounds() {
  done=0 unsafe=0
  while [ $done -lt "$3" ] && { [ -z "${4-}" ] || [ -e "/proc/$4" ]; }; do
    malloc=
    [ $((done % 2)) = 0 ] || malloc="--malloc --calls-size 1M"
    # shellcheck disable=SC2086  # words
    if "$o" attach $malloc "$2" -o /ramfs/round.ovc >/out/round.out 2>/out/round.err; then
      "$o" detach "$2" >>/out/round.out 2>>/out/round.err || break
      ! $b grep -E 'given back|leave the shim' /out/round.out || break
      $b rm /ramfs/round.ovc
      done=$((done + 1))
    else
      $b grep -q 'was not touched' /out/round.err || break
      unsafe=$((unsafe + 1))
      [ $unsafe -lt "$3" ] || break
    fi
  done
  echo "$1: $done rounds, $unsafe without a thread that was safe: $($b cat /out/round.err)" >>/out/rounds
}

told static_attach $o attach 1
if [ -x /bin/redis-server ]; then
  # In mode 2, so that its heap counts.
  echo $(($(kb Committed_AS) + 1048576)) >/proc/sys/vm/overcommit_kbytes
  echo 2 >/proc/sys/vm/overcommit_memory
  redis_begins attached
  redis debug populate 12000 key 4000 >/out/populate
  told stacks $o check --stacks $server
  code $server >/out/code
  told attach $o attach $server -o /ramfs/attached.ovc
  code $server >/out/code.attached
  echo $(($(kb Committed_AS) + 8192)) >/proc/sys/vm/overcommit_kbytes
  redis bgsave >/out/bgsave 2>&1
  echo 0 >/proc/sys/vm/overcommit_memory
  redis set some value >/out/set
  told attached_why $o why /ramfs/attached.ovc
  told detach $o detach $server
  code $server >>/out/code
  redis-benchmark -s /ramfs/redis.sock -q -t set,get,lpush -n 5000 -c 10 >/out/load 2>&1 &
  load=$!
  rounds load $server 10 $load
  wait $load
  echo $? >/out/load.status
  code $server >>/out/code
  redis get some >/out/some
  redis_ends
  say "redis was attached to"
fi

# many WORD...: many_threads, when it is ready; its input is descriptor 9
many() {
  $b mkfifo /tmp/in
  many_threads "$@" </tmp/in >/out/many 2>&1 &
  server=$!
  exec 9>/tmp/in
  until $b grep -q ready /out/many; do [ -e /proc/$server ] || break; done
  $b rm /tmp/in
}
# many_end NAME
many_end() {
  exec 9>&-
  wait $server
  echo $? >"/out/$1.status"
  $b mv /out/many "/out/$1.out"
}
many 8
for look in 1 2 3 4 5; do told many_stacks $o check --stacks $server; done
rounds threads $server 10
told many_attach $o attach --malloc $server -o /ramfs/many.ovc
told many_detach $o detach $server
told many_stats $o stats /ramfs/many.ovc
many_end many
# ovc is killed at any moment; what a killed one has begun, the next one ends.
many 4 hasty
for ms in 2 5 9 14 20 27 35 44 54 65 77 90 104 119 135 152 170 189 209 230; do
  $b rm -f /ramfs/killed.ovc
  # shellcheck disable=SC2086  # words
  $o attach $([ $((ms % 2)) = 0 ] || echo --malloc) $server -o /ramfs/killed.ovc >/dev/null 2>&1 &
  killed=$!
  $b usleep $((ms * 1000))
  kill -KILL $killed 2>/dev/null
  wait $killed 2>/dev/null
  [ $? = 0 ] || echo $ms >>/out/killed
  $o detach $server >/out/round.out 2>&1
done
rounds killed $server 2
many_end hasty
say "threads were attached to"
