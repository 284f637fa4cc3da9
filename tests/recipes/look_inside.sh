#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# examples/recipes/container/look-inside.sh: what it asks of kubectl, docker and podman is what these know (where they are installed), and
# gives an answer. A container and the one beside it are namespaces of this test; in place of the three programs stands one that starts the
# second container as they do: with the first one's processes, and nothing else of it.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/servers.sh"
. "$source_dir/tests/fixtures/box.sh"
look=$source_dir/examples/recipes/container/look-inside.sh
command -v redis-server >/dev/null || skip "redis-server is not installed"
box_possible
on_exit() { box_end; }

# --- the words are theirs
known() { # PROGRAM WORD...: the options that its help lists
  local program=$1 word
  shift
  command -v "$program" >/dev/null || return 0
  for word in "$@"; do finds "(^|[ ,])$word([= ]|$)" help; done
}
if command -v kubectl >/dev/null; then kubectl debug --help >help 2>&1 || true; known kubectl --target --image --profile --attach --quiet; fi
if command -v docker >/dev/null; then docker run --help >help 2>&1 || true; known docker --rm --pid --cap-add; fi
exits 2 "$look" 2>usage
finds '^usage: look-inside.sh kubernetes POD CONTAINER IMAGE' usage

# --- and the answer comes
free_port
box_root server redis-server
box_root beside
box_start server -- redis-server --port "$port" --bind 127.0.0.1 --save '' --dir /data
until_so 10 "redis in the container" answers "$port"
server=$box_pid
ln "beside$build/ovc" beside/ovc
box_with="nsenter --target $server --pid" box_start beside -- sleep 1000
mkdir bin
cat >bin/stub <<END
#!/bin/bash
echo "\${0##*/} \$*" >"$work/asked"
while [[ \$1 != -- && \$1 != IMAGE ]]; do shift; done
shift
[[ \$1 == /ovc ]] || set -- /ovc "\$@"   # the image's entry point
exec nsenter -t $box_pid -m -p -C -u -i --wd=/ env -i "\$@"
END
chmod +x bin/stub
for program in kubectl docker podman; do ln -s stub bin/$program; done
PATH=$work/bin:$PATH
"$look" kubernetes pod-0 redis IMAGE >all.txt || (($? == 1)) || fail "no answer: $(<all.txt)"
finds '^ +1 +redis-server +pass' all.txt
[[ $(<asked) == "kubectl debug pod-0 --target=redis --image=IMAGE --profile=general --attach --quiet -- /ovc check --all" ]] || fail "$(<asked)"
for engine in docker podman; do
  "$look" $engine box IMAGE check redis-server >one.txt || fail "no answer: $(<one.txt)"
  finds '^a fork of redis-server \(pid 1\) would pass now' one.txt
  [[ $(<asked) == "$engine run --rm --pid=container:box --cap-add=SYS_PTRACE IMAGE check redis-server" ]] || fail "$(<asked)"
done
