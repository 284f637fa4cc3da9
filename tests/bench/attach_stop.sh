#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# How long `ovc attach` keeps a program from working: of a program with so much memory in 4 kB pages and so many mappings, whose threads
# map and unmap all the time. The best, the median and the worst of some rounds. tests/bench/README.md tells what came of it.
#   attach_stop.sh [--rounds N] [GIB:MAPPINGS:THREADS...]
. "$(dirname "$0")/../fixtures/e2e.sh"
rounds=9
[[ ${1-} != --rounds ]] || { rounds=$2; shift 2; }
kinds=("$@")
((${#kinds[@]})) || kinds=(0:0:4 1:0:4 4:0:4 8:0:4 0:20000:4 0:0:64)
pid=
on_exit() { exec 9>&- 8>&-; [[ -z $pid ]] || kill -KILL "$pid" 2>/dev/null || true; }
mkfifo in out
# us TEXT: "1.2 ms" in microseconds
us() { awk -v text="$1" 'BEGIN { split(text, t, " "); printf "%.0f", t[1] * (t[2] == "s" ? 1e6 : t[2] == "ms" ? 1e3 : t[2] == "ns" ? 1e-3 : 1) }'; }
spread() { sort -n "$1" | awk '{ v[NR] = $1 } END { printf "%.1f, %.1f, %.1f", v[1] / 1000, v[int((NR + 1) / 2)] / 1000, v[NR] / 1000 }'; }
echo "| memory | mappings | threads | all stood still, ms | one was held, ms | slowest mmap+munmap meanwhile, ms | detach, ms |"
echo "| --- | --- | --- | --- | --- | --- | --- |"
for kind in "${kinds[@]}"; do
  IFS=: read -r gib mappings threads <<<"$kind"
  resident "$gib" "$mappings" "$threads" <in >out &
  pid=$!
  exec 9>in 8<out
  word=
  read -r word <&8 || :
  [[ $word == ready ]] || fail "no room for $gib GiB"
  : >still
  : >held
  : >slow
  : >detach
  for ((i = 0; i < rounds; ++i)); do
    echo >&9
    read -r _ <&8
    ovc attach "$pid" -o "$work/a.ovc" >said
    echo >&9
    read -r slow _ <&8
    us "$(sed -nE 's/.* stood still for ([^;]*);.*/\1/p' said)" >>still
    us "$(sed -nE 's/.* was held for ([^,]*),.*/\1/p' said)" >>held
    echo "$slow" >>slow
    ovc detach "$pid" >said
    us "$(sed -nE 's/.* stood still for (.*)/\1/p' said)" >>detach
    for file in still held detach; do echo >>$file; done
    rm -f a.ovc
  done
  echo "| $gib GiB | $mappings | $threads | $(spread still) | $(spread held) | $(spread slow) | $(spread detach) |"
  exec 9>&-
  wait "$pid"
  pid=
  exec 8<&-
done
