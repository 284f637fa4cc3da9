#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `ovc attach` and `ovc detach`, with malloc and without, again and again: a PostgreSQL backend and the postmaster under pgbench, node and
# a JVM at work. No transaction fails, no answer is wrong, each program ends as it would have; and what it forks meanwhile is recorded.
#   OVC_ATTACH_ROUNDS: how many rounds of each
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/servers.sh"
. "$source_dir/tests/fixtures/daemons.sh"
. "$source_dir/tests/fixtures/postgres.sh"
[[ $(uname -m) == @(x86_64|aarch64) ]] || skip "attaching is for x86-64 and aarch64"
wanted=${OVC_ATTACH_ROUNDS:-6}
pids=()
on_exit() {
  exec 9>&- 8>&-
  for pid in "${pids[@]}"; do kill -KILL "$pid"; done 2>/dev/null || true
  postgres_stop
}
mkdir -m 1777 logs  # the process makes the log, as its user
chmod 755 "$work"

# A busy program may have no thread where the loader may be called: then nothing was touched.
attached=0 none_safe=0
# one_round NAME PID [OPTION...]
one_round() {
  local name=$1 pid=$2 log
  shift 2
  log=$work/logs/$name.$((attached + none_safe)).ovc
  if ovc attach "$@" "$pid" -o "$log" >said 2>err; then
    ovc detach "$pid" >said 2>err || fail "$name: detach: $(cat err)"
    ! grep -E 'given back|leave the shim' said || fail "$name: not all was given back"
    rm "$log"
    attached=$((attached + 1))
  else
    grep -q 'was not touched' err || fail "$name: attach: $(cat err)"
    none_safe=$((none_safe + 1))
  fi
}
# many_rounds NAME PID
many_rounds() {
  local name=$1 i
  attached=0 none_safe=0
  for ((i = 0; i < wanted; ++i)); do
    if ((i % 2)); then one_round "$name" "$2"; else one_round "$name" "$2" --malloc --calls-size 4M; fi
  done
  ((attached)) || fail "$name: no thread was safe in $none_safe tries: $(cat err)"
  echo "$name: $attached rounds, $none_safe without a thread that was safe"
}
left_out=()

if postgres_start; then
  postgres_run pgbench -i -q >init.out 2>&1
  "${postgres_env[@]}" pgbench -n -c 4 -T 3600 --rate 300 >load.out 2>&1 </dev/null &
  load=$!
  pids+=("$load")
  # shellcheck disable=SC2317 # called by until_so
  works() { backend=$(postgres_busy) && [[ -n $backend ]]; }
  until_so 20 "a backend that works" works
  many_rounds backend "$backend"
  many_rounds postmaster "$postmaster"
  # A backend that is forked meanwhile is its child.
  exits 0 ovc attach "$postmaster" -o "$work/logs/forks.ovc" >said
  [[ $(postgres_run psql -XAtqc 'select 42') == 42 ]] || fail "a new session"
  exits 0 ovc detach "$postmaster" >said
  exits 0 ovc forks logs/forks.ovc --json >forks.json
  jq -e '.forks | length >= 1' forks.json >/dev/null || fail "no fork of the postmaster was seen"
  ! grep -E 'PANIC|FATAL|terminated by signal' data/log || fail "the server"
  kill -0 "$load" || fail "pgbench: $(cat load.out)"
  kill "$load"  # the server then tells of lost connections
  wait "$load" || true
  ! grep -iE 'error|fatal|abort' load.out || fail "pgbench: $(cat load.out)"
  ! grep -E 'PANIC|terminated by signal' data/log || fail "the server"
  [[ $(postgres_run psql -XAtqc 'select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history)') == t ]] ||
    fail "the data: money was lost"
  postgres_stop
else
  left_out+=(postgres)
fi

# worker NAME COMMAND...: it computes until its input ends, then says "right" or "wrong"
worker() {
  local name=$1 said
  shift
  mkfifo "$name.in" "$name.out"
  "$@" <"$name.in" >"$name.out" 2>"$name.err" &
  local pid=$!
  pids+=("$pid")
  exec 9>"$name.in" 8<"$name.out"
  read -r said <&8 || :
  [[ $said == ready ]] || fail "$name: $said $(cat "$name.err")"
  many_rounds "$name" "$pid"
  exec 9>&-
  read -r said <&8 || :
  [[ $said == right ]] || fail "$name: $said $(cat "$name.err")"
  wait "$pid" || fail "$name ended with status $?: $(cat "$name.err")"
  exec 8<&-
}
if command -v node >/dev/null; then
  worker node node -e '
    const crypto = require("crypto"), zlib = require("zlib");
    let rounds = 0, wrong = 0, ended = false;
    process.stdin.on("end", () => { ended = true; }).resume();
    const text = "x".repeat(20000), hash = crypto.createHash("sha256").update(text).digest("hex");
    function round() {
      const objects = Array.from({ length: 2000 }, (_, i) => ({ i, s: String(i) }));
      if (JSON.parse(JSON.stringify(objects)).length !== 2000) ++wrong;
      zlib.deflate(text, (error, packed) => {
        if (error || zlib.inflateSync(packed).toString() !== text) ++wrong;
        if (crypto.createHash("sha256").update(text).digest("hex") !== hash) ++wrong;
        ++rounds;
        if (!ended) setTimeout(round, 1); else console.log(wrong || !rounds ? "wrong" : "right");
      });
    }
    console.log("ready");
    round();'
else
  left_out+=(node)
fi
if command -v java >/dev/null && java -version >version 2>&1; then
  cat >Work.java <<'J'
import java.util.*;
import java.util.concurrent.atomic.*;
public class Work {
  static volatile boolean ended;
  static final AtomicInteger wrong = new AtomicInteger(), rounds = new AtomicInteger();
  static void work() {
    try {
      while (!ended) {
        var list = new ArrayList<String>();
        for (int i = 0; i < 5000; ++i) list.add("text " + i);
        Collections.shuffle(list);
        Collections.sort(list);
        var digest = java.security.MessageDigest.getInstance("SHA-256").digest(String.join(",", list).getBytes());
        if (digest.length != 32 || !list.get(0).equals("text 0")) wrong.incrementAndGet();
        java.nio.ByteBuffer.allocateDirect(100000).putInt(0, 7);
        rounds.incrementAndGet();
        Thread.sleep(1);
      }
    } catch (Throwable any) { any.printStackTrace(); wrong.incrementAndGet(); }
  }
  public static void main(String[] none) throws Exception {
    var threads = new ArrayList<Thread>();
    for (int i = 0; i < 4; ++i) threads.add(new Thread(Work::work));
    for (var thread : threads) thread.start();
    System.out.println("ready");
    while (System.in.read() >= 0) {}
    ended = true;
    for (var thread : threads) thread.join();
    System.out.println(wrong.get() == 0 && rounds.get() > 0 ? "right" : "wrong");
  }
}
J
  worker java java -Xmx256m Work.java
else
  left_out+=(java)
fi
((${#left_out[@]} < 3)) || skip "no PostgreSQL, node or JVM"
((${#left_out[@]} == 0)) || echo "left out, not installed: ${left_out[*]}"
