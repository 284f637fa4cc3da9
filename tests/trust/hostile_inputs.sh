#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What is no whole log is refused with one line that says what, where and what to do, and exit status 2, or read as far as it goes; in
# bounded time and memory whatever its size, also while it is written or cut off.
. "$(dirname "$0")/../fixtures/e2e.sh"

reads=(why show forks stats maps plan)
kMaxSeconds=30 kMaxKb=150000
sanitized() { nm "$build/ovc" 2>/dev/null | grep __asan_init >/dev/null; }
if sanitized; then kMaxKb=900000 kMaxSeconds=90; fi

# bounded COMMAND ARG...: ovc's exit status in $status, its output in out and err
bounded() {
  local kb
  status=0
  python3 "$work/bounded.py" "$kMaxSeconds" "$build/ovc" "$@" >out 2>err </dev/null || status=$?
  kb=$(tail -1 err)
  sed -i '$d' err
  ((status != 124)) || fail "takes more than $kMaxSeconds s: ovc $*"
  ((status < 128)) || { cat err >&3; fail "killed, status $status: ovc $*"; }
  ((kb <= kMaxKb)) || fail "takes $kb kB: ovc $*"
}
cat >bounded.py <<'END'
# Runs a command for so many seconds at most; its largest resident set in kB is the last line of stderr.
import resource, subprocess, sys
try:
    status = subprocess.run(sys.argv[2:], timeout=float(sys.argv[1])).returncode
except subprocess.TimeoutExpired:
    status = 124
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(status if status >= 0 else 128 - status)
END
refused() {
  local command
  for command in "${reads[@]}"; do
    bounded "$command" "$1"
    ((status == 2)) || { cat out err >&3; fail "exit status $status, not 2: ovc $command $1"; }
    [[ ! -s out && $(wc -l <err) == 1 ]] || { cat out err >&3; fail "not one line on stderr alone: ovc $command $1"; }
    finds "$2" err
  done
}
# Its commands end, whatever they say.
read_through() {
  local command
  for command in "${reads[@]}"; do
    bounded "$command" "$1"
    ((status <= 2)) || { cat err >&3; fail "exit status $status: ovc $command $1"; }
    bounded "$command" --json "$1"
  done
}

under "$work/good.ovc" sh -c 'true | cat'
ovc show good.ovc >whole.txt || (($? == 1))

# --- nothing that could be read as a log
mkfifo fifo.ovc
mkdir folder.ovc
: >empty.ovc
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket.ovc")'
truncate -s 1T sparse_1t.ovc 2>/dev/null || truncate -s 15T sparse_1t.ovc 2>/dev/null || truncate -s 64G sparse_1t.ovc
refused fifo.ovc 'fifo.ovc: is not a regular file'
refused folder.ovc 'folder.ovc: is a directory; give the path of a log file'
refused empty.ovc 'empty.ovc: is empty'
refused socket.ovc 'socket.ovc: is not a regular file'
refused /dev/zero '/dev/zero: is not a regular file'
refused sparse_1t.ovc 'sparse_1t.ovc: holds no records yet'
ln -s loop.ovc loop.ovc
refused loop.ovc 'loop.ovc: cannot open the log'

# --- a whole log with any size behind it loses nothing
cp --sparse=always good.ovc behind.ovc
truncate -s 1T behind.ovc 2>/dev/null || truncate -s 64G behind.ovc
bounded show behind.ovc
same whole.txt out "1 TB behind the log"
read_through behind.ovc

# --- a header that places lanes of 60 GiB into holes, with cursors as if they were full
python3 - good.ovc sparse_64g.ovc <<'END'
import shutil, struct, sys
data = bytearray(open(sys.argv[1], 'rb').read())
# shim/format/log_format.h, FileHeader: file_bytes 48, then offset and bytes of processes, stripes, events, calls; the three cursors
kSize = 64 << 30
lane = (kSize - len(data) - 4096) // 2 // 4096 * 4096
struct.pack_into('<Q', data, 48, kSize)
struct.pack_into('<QQQQ', data, 88, len(data), lane, len(data) + lane, lane)
for cursor in (1280, 1344, 1728):
    assert struct.unpack_from('<Q', data, cursor)[0] > 0 or cursor == 1344
    struct.pack_into('<Q', data, cursor, 1 << 40)
with open(sys.argv[2], 'wb') as log:
    log.write(data)
    log.truncate(kSize)
END
read_through sparse_64g.ovc

# --- cut off at each boundary of its structures, and beside it
python3 - good.ovc >cuts <<'END'
import struct, sys
header = open(sys.argv[1], 'rb').read(4096)
size, = struct.unpack_from('<Q', header, 48)
areas = struct.unpack_from('<8Q', header, 56)
edges = {1, 16, 56, 120, 1984, 4096, 8192, 12288, size}
for offset, length in zip(areas[::2], areas[1::2]):
    edges |= {offset, offset + length, offset + 256, offset + 512, offset + 4096}
print(*sorted(cut for edge in edges for cut in (edge - 1, edge, edge + 1) if 0 < cut < size), sep='\n')
END
[[ $(wc -l <cuts) -gt 20 ]] || fail "no boundaries"
while read -r cut; do
  head -c "$cut" good.ovc >cut.ovc
  status=0
  ovc why cut.ovc >out 2>err || status=$?
  ((status == 2)) || { cat out err >&3; fail "cut at $cut: exit status $status"; }
  [[ ! -s out && $(wc -l <err) == 1 ]] || { cat out err >&3; fail "cut at $cut: not one line"; }
  finds '^ovc: cut.ovc: (is not an ovcshim log|is cut off)' err
done <cuts

# --- cut off while it is read, and written while it is read: the reader goes on or says so, and is not killed
for _ in 1 2 3 4 5 6; do
  cp --sparse=never good.ovc shrinks.ovc
  (for size in 40000000 4000000 1000000 20000 8192 100 0; do truncate -s "$size" shrinks.ovc; done) &
  read_through shrinks.ovc
  wait
done
env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/live.ovc" OVCSHIM_EVENTS_SIZE=1M OVCSHIM_CALLS_SIZE=1M sh -c 'while :; do true | cat; done' &
writer=$!
on_exit() { kill "$writer" 2>/dev/null || :; }
until [[ -s live.ovc ]] && ovc stats live.ovc >/dev/null 2>&1; do kill -0 "$writer" || fail "the writer ended"; done
read_through live.ovc
kill "$writer"
wait "$writer" || :

# --- names of symbol files are the log author's: a FIFO is not waited for, a file without end is not read, one that is cut off meanwhile
# gives fewer names
cp "$(command -v sleep)" ./victim
under "$work/named.ovc" ./victim 0
rm victim
mkfifo victim
read_through named.ovc
rm victim
truncate -s 1T victim 2>/dev/null || truncate -s 64G victim
read_through named.ovc
for size in 30000 4096 64 0; do
  cp "$(command -v sleep)" ./victim
  truncate -s "$size" victim
  read_through named.ovc
done
for _ in 1 2 3; do
  cp "$(command -v sleep)" ./victim
  (for size in 30000 20000 10000 4096 64 0; do truncate -s "$size" victim; done) &
  read_through named.ovc
  wait
done

# --- an output that takes nothing
for command in "${reads[@]}"; do
  status=0
  ovc "$command" good.ovc >/dev/full 2>err || status=$?
  if ((status == 2)) && grep -q 'standard output' err; then continue; fi
  [[ $command == plan && $status == 2 ]] || { cat err >&3; fail "/dev/full: exit status $status: ovc $command"; }
done

# --- debug information of another user is not read: functions keep their names, from the symbol table
if ((EUID == 0)); then
  cp "$build/examples/fork_doubles" owned
  under "$work/owned.ovc" ./owned >/dev/null
  ovc show --stacks owned.ovc >out
  finds 'main.*fork_doubles\.c:[0-9]+' out
  chown 65534 owned
  ovc show --stacks owned.ovc >out
  finds 'main' out
  if grep 'fork_doubles\.c' out >&3; then fail "lines from the debug information of another user"; fi
else
  echo "not tested without root: programs of another user"
fi
