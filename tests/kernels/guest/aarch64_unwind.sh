# shellcheck shell=dash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2154,SC2016  # b, build, states: aarch64_init; python's own $
# The shim's unwinder against libunwind's in programs of this guest as they work, as tests/trust/unwind.sh has it on x86-64; sourced by
# aarch64_init, judged by ../aarch64_unwind.sh.
# oracle NAME PID
oracle() {
  "$build/trust/unwind_oracle" "$2" "$states" 1 >"/out/unwind.$1" 2>&1
  echo $? >"/out/unwind.$1.status"
  say "$1: unwound"
}
# at_work NAME COMMAND...: walked in from its first word on
at_work() {
  name=$1
  shift
  : >/tmp/said
  "$@" >/tmp/said 2>&1 </dev/null &
  it=$!
  until [ -s /tmp/said ]; do [ -e /proc/$it ] || break; done
  oracle "$name" $it
  kill -KILL $it
  wait $it 2>/dev/null
}
# A signal every 20 ms: more often, this machine would do nothing else.
at_work stacks strange_stacks 20000
at_work signed "$build/trust/signed_stacks" 20000
at_work musl "$build/musl/strange_stacks" 20000

$b mkfifo /tmp/in
many_threads 8 hasty </tmp/in >/out/threads.out 2>&1 &
it=$!
exec 9>/tmp/in
until $b grep -q ready /out/threads.out; do [ -e /proc/$it ] || break; done
oracle threads $it
exec 9>&-
wait $it
echo $? >/out/threads.status
$b rm /tmp/in

redis-server --port 0 --unixsocket /tmp/redis.sock --save '' >/tmp/said 2>&1 &
server=$!
until [ "$(redis-cli -s /tmp/redis.sock ping 2>&1)" = PONG ]; do [ -e /proc/$server ] || break; done
redis-benchmark -s /tmp/redis.sock -q -t set,get,lpush,lrange,mset -l -c 20 >/dev/null 2>&1 &
load=$!
oracle redis $server
kill -KILL $load $server
wait $load $server 2>/dev/null

at_work python python3 -uc 'import pickle, random, re, string, zlib
print("ready")
while True:
    text = repr([{"a": i, "b": str(i) * 3} for i in range(200)])
    eval(text), re.findall(r"(\d+)a*", text), zlib.compress(text.encode()), pickle.loads(pickle.dumps(text))
    sorted(random.random() for _ in range(100)), string.Template("$a").substitute(a=text)'
at_work crypto openssl speed -seconds 6000 sha256
