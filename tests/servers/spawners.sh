#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runtimes with threads of their own that start programs: Node (spawn, exec, execSync, fork, cluster) and Java (ProcessBuilder, by
# posix_spawn, vfork and fork). They print what they print without the shim; each child is a fork with a purpose and an end; refused,
# they say what they say of ENOMEM, and why is told.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/servers.sh"

cat >spawns.js <<'END'
const child = require('child_process'), cluster = require('cluster'), http = require('http');
const said = [], say = (...words) => said.push(words.join(' '));
const ended = (name, c) => new Promise(done => c.on('error', e => { say(name, e.code); done(); }).on('exit', (code, signal) => { say(name, code, signal); done(); }));
async function main() {
  try { say('execSync', child.execSync('echo sync; exit 0').toString().trim()); } catch (e) { say('execSync', e.code); }
  say('spawnSync', child.spawnSync('sh', ['-c', 'exit 3']).status);
  await ended('spawn', child.spawn('true'));
  await ended('missing', child.spawn('/nowhere/program'));
  await ended('killed', child.spawn('sh', ['-c', 'kill -TERM $$']));
  await Promise.all([...Array(20).keys()].map(i => ended('many' + i, child.spawn('sh', ['-c', 'exit ' + i]))));
  await new Promise(done => { try { child.exec('echo out; exit 4', (e, out) => { say('exec', e.code, out.trim()); done(); }); } catch (e) { say('exec', e.code); done(); } });
  const f = child.fork(__filename, ['child']);
  f.on('message', m => { say('fork', m); f.send('end'); });
  await ended('forked', f);
  for (let i = 0; i < 2; i++) {
    const worker = cluster.fork();
    worker.on('message', m => { say('cluster', m); worker.kill(); });
    await ended('worker', worker.process);
  }
}
if (process.argv[2] === 'refused') {
  const promised = Buffer.allocUnsafeSlow(2 ** 31);
  try { child.spawn('true'); } catch (e) { console.log('spawn', e.code); }
  console.log('spawnSync', child.spawnSync('true').error.code);
  if (promised.length != 2 ** 31) process.exit(1);
} else if (process.argv[2] === 'child') {
  process.send('hello');
  process.on('message', () => process.exit(5));
} else if (cluster.isWorker) {
  http.createServer((_, answer) => answer.end('x')).listen(0, '127.0.0.1', () => process.send('listens'));
} else {
  main().then(() => console.log(said.sort().join('\n')));
}
END
cat >Spawns.java <<'END'
public class Spawns {
  public static void main(String[] arguments) throws Exception {
    for (int i = 0; i < 5; i++) {
      try {
        Process p = new ProcessBuilder("sh", "-c", "echo java " + i + "; exit " + i).redirectErrorStream(true).start();
        System.out.println(new String(p.getInputStream().readAllBytes()).trim() + " " + p.waitFor());
      } catch (java.io.IOException e) { System.out.println(e.getMessage()); }
    }
    try { new ProcessBuilder("/nowhere/program").start(); } catch (java.io.IOException e) { System.out.println(e.getMessage()); }
    try {
      Process p = new ProcessBuilder("sleep", "60").start();
      p.destroy();
      System.out.println(p.waitFor());
    } catch (java.io.IOException e) { System.out.println(e.getMessage()); }
  }
}
END
run() {
  local name=$1
  shift
  timeout 60 env "$@" >"$name.out" 2>"$name.err" </dev/null || fail "$name: exit status $?: $(<"$name.err")"
}
# tried NAME PURPOSE CMD...
tried() {
  local name=$1 purpose=$2 internals
  shift 2
  run "$name" "$@"
  for internals in 1 0; do
    run "$name.$internals" LD_PRELOAD="$shim" OVCSHIM_LOG="$work/$name.$internals.ovc" OVCSHIM_LIBC_INTERNALS=$internals "$@"
    for file in out err; do same "$name.$file" "$name.$internals.$file" "$name: $file"; done
    nobody_left
    forks_told "$name.$internals.ovc" | cut -d' ' -f2- >told
    same told <(echo "$purpose") "purposes of $name"
  done
}
# refused NAME PURPOSE CMD...: under a limit that the copy of 2 GiB, promised and not touched, would break
refused() {
  local name=$1 purpose=$2
  shift 2
  run "$name.refused" LD_PRELOAD="$shim" OVCSHIM_LOG="$work/$name.ovc" OVCSHIM_REHEARSE="$(rehearse_limit 3072)" "$@"
  refusal_told "$name.ovc" "$purpose"
}

tested=()
if command -v node >/dev/null; then
  tried node "program started through libuv" node spawns.js
  refused node "program started through libuv" node spawns.js refused
  same node.refused.out - <<<$'spawn ENOMEM\nspawnSync ENOMEM'
  tested+=(node)
fi
if command -v java >/dev/null; then
  java=(java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC)
  for way in POSIX_SPAWN VFORK FORK; do
    tried java.$way "program started by Java" "${java[@]}" -Djdk.lang.Process.launchMechanism=$way Spawns.java
  done
  refused java "program started by Java" "${java[@]}" -Xms2g -Djdk.lang.Process.launchMechanism=FORK Spawns.java
  finds '^Cannot run program "sh": error=12, Cannot allocate memory$' java.refused.out
  tested+=(java)
fi
nobody_left
((${#tested[@]} > 0)) || skip "neither node nor java is installed"
echo "tested: ${tested[*]}"
