#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The mappings are listed while the program runs and changes them: `ovc maps` has, when all stands still, what the kernel has, to the
# page: which addresses are charged. OVC_ATTACH_SEEDS: how many programs; OVC_ATTACH_THREADS, OVC_ATTACH_REGIONS: their size.
. "$(dirname "$0")/../fixtures/e2e.sh"
[[ $(uname -m) == @(x86_64|aarch64) ]] || skip "attaching is for x86-64 and aarch64"
pid=
on_exit() { exec 9>&- 8>&-; [[ -z $pid ]] || kill -KILL "$pid" 2>/dev/null || true; }

cat >ranges.py <<'PY'
# What is charged, as ranges: of the kernel (smaps), of ovc maps (JSON). Without the stack, which grows without a call.
import json, re, sys
def joined(ranges):
    out = []
    for start, end in sorted(ranges):
        if out and out[-1][1] == start: out[-1][1] = end
        else: out.append([start, end])
    return "".join("%x-%x\n" % tuple(r) for r in out)
kernel = []
for line in open("/proc/%s/smaps" % sys.argv[1]):
    header = re.match("([0-9a-f]+)-([0-9a-f]+) ", line)
    if header: at = [int(n, 16) for n in header.groups()]
    if line.startswith("VmFlags:") and " ac" in line and " gd" not in line: kernel.append(at)
mine, open_kb = [], 0
for m in json.load(open(sys.argv[2]))["mappings"]:
    if " gd" in m["flags"]: continue
    low, high = m["charged"]["low_kb"], m["charged"]["high_kb"]
    open_kb += high - low
    if low: mine.append([int(m["start"], 16), int(m["end"], 16)])
open("kernel", "w").write(joined(kernel))
open("mine", "w").write(joined(mine))
print(len(kernel), "mappings charged,", open_kb, "kB open")
sys.exit(open_kb != 0)
PY

# agrees WHAT: while all threads stand still
agrees() {
  exits 0 ovc maps run.ovc --json >maps.json
  if jq -e '.not_known[] | select(test("were overwritten"))' maps.json >out.jq; then
    echo "$1: left out, its calls were overwritten: too busy a machine"
    return
  fi
  compared=$((compared + 1))
  # VmSize may have been read while ovc had its list in the process: then that is said, and no more.
  ! jq -e '.not_known[] | select(test("do not fit|no complete list"))' maps.json >out.jq || fail "$1: $(jq -c .not_known maps.json)"
  python3 ranges.py "$pid" maps.json || fail "$1: not known exactly: $(jq -c .not_known maps.json)"
  same kernel mine "$1: what is charged"
}
compared=0
mkfifo in out
for ((seed = 1; seed <= ${OVC_ATTACH_SEEDS:-3}; ++seed)); do
  maps_in_threads "${OVC_ATTACH_THREADS:-2}" "${OVC_ATTACH_REGIONS:-1500}" "$seed" <in >out &
  pid=$!
  exec 9>in 8<out
  says() { local word; read -r word <&8; [[ $word == "$1" ]] || fail "the program says $word, not $1"; }
  says going
  for round in 1 2; do
    rm -f run.ovc
    exits 0 ovc attach "$pid" -o "$work/run.ovc" --events-size 256M >said
    ! grep 'are not known' said || fail "seed $seed, round $round: $(cat said)"
    echo -n s >&9
    says still
    agrees "seed $seed, round $round"
    calls=$(jq .calls maps.json)
    ((calls > 0)) || fail "no call since the list"
    echo -n g >&9
    says going
    exits 0 ovc detach "$pid" >said
  done
  exec 9>&-
  says "all right"
  wait "$pid"
  pid=
  exec 8<&-
done
((compared)) || fail "none could be compared"
echo "$compared agree"
