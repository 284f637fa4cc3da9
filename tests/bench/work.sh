# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: MIT
# The work of the benchmark's cases: functions WORK SIDE ARGUMENT..., which print lines "METRIC VALUE". To be sourced after sides.sh.
# scale: per mille of the usual amount of work (--quick, --smoke).

# amount N [SIDE]: N, scaled, at least 1
amount() { awk -v n="$1" -v scale="$scale" -v share="$(share "${2-native}")" 'BEGIN { n = int(n * scale * share / 1e6); print n < 1 ? 1 : n }'; }

# pairs KIND THREADS [DEPTH]: after as many that the lanes have been written to once, since the first lap pays for the file's pages
pairs() {
  local side=$1 usual=10000000 lap=2200000
  case $2 in
    malloc) ;;
    mmap) usual=200000 lap=220000 ;;  # the ring of these calls once
    *) usual=3000000 ;;
  esac
  if [[ $side == limit ]]; then
    "$work/limit" "$(amount $usual)"
  else  # at least one for each thread
    ((scale >= 100)) && [[ $(share "$side") == 1000 ]] || lap=1
    on "$side" "$work/pair" "$2" "$3" "$(($(amount $usual "$side") + $3))" "${4-0}" "$lap"
  fi
}
# The first lap alone.
first_lap() {
  rm -f "$work/recorded.ovc"
  on "$1" "$work/pair" malloc 1 "$(amount 1900000)"
}

# forking FORKS MIB MAPPINGS [refused]
forking() {
  local mib=$3 mappings=$4
  ((scale >= 100)) || mib=$((mib / 64)) mappings=$((mappings / 64))
  if ((mib * 1024 * 3 / 2 > $(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo))); then
    echo "reason needs $mib MiB and half as much free"
  else
    on "$1" "$work/forks" "$2" "$mib" "$mappings" "${@:5}"
  fi
}
# storming CALLS MAPPINGS
storming() {
  local mappings=$3
  ((scale >= 100)) || mappings=$((mappings / 64))
  on "$1" "$work/storm" "$2" "$mappings"
}
many_children() {
  local count=$2
  ((scale >= 100)) || count=$((count / 16 + 1))
  on "$1" "$work/children" "$count" "$(amount 20000)"
}

starting() {
  local runs
  runs=$(amount 20)
  case $1 in
    native) "$work/measure" "$runs" true ;;
    recorded) "$work/measure" "$runs" -e LD_PRELOAD="$shim" -e OVCSHIM_LOG="$work/start.ovc" -u "$work/start.ovc" true ;;
    joined) # the log of a program that still runs
      rm -f "$work/start.ovc"
      env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/start.ovc" "$work/measure" "$runs" true ;;
  esac
  [[ $1 == native ]] || was_recorded "$work/start.ovc"
}

# Programs that are short, the log joined that another one has: "NAME.wall MS", "NAME.rss KB"
short_programs() {
  local runs name command vars=() log=$work/short.ovc source=$work/short.c
  [[ $1 == native ]] || vars=(-e LD_PRELOAD="$shim" -e OVCSHIM_LOG="$log")
  [[ $1 == native || -s $log ]] || env LD_PRELOAD="$shim" OVCSHIM_LOG="$log" true
  printf '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n' >"$source"
  printf '#include <iostream>\n#include <map>\nint main() { std::map<int, int> m; std::cout << m[1]; }\n' >"$work/short.cc"
  runs=$(amount 10)
  while read -r name command; do
    command -v "${command%% *}" >/dev/null || continue
    # shellcheck disable=SC2086  # words
    "$work/measure" "$runs" "${vars[@]}" $command | awk -v name="$name" '
      { sum[$1] += $2; if (!n[$1]++ || $2 < least[$1]) least[$1] = $2 }
      END { printf "%s.wall %.3f\n%s.rss %d\n", name, least["wall"], name, least["rss"] }'
  done <<EOF
true /bin/true
bash bash -c :
perl perl -e 1
git git -C . status
python3 python3 -c pass
node node -e 0
java java -version
cc1 $(gcc -print-prog-name=cc1) -quiet -o /dev/null $source
cc1plus $(gcc -print-prog-name=cc1plus) -quiet -o /dev/null $work/short.cc
EOF
  [[ $1 == native ]] || was_recorded "$log"
}

# Work of many processes, one log: "loop MS", "echo MS", "make MS"
many_programs() {
  local runs name script i log=$work/many.ovc vars=()
  [[ $1 == native ]] || vars=(-e LD_PRELOAD="$shim" -e OVCSHIM_LOG="$log")
  runs=$(amount 100)
  [[ -e $work/many/Makefile ]] || {
    mkdir "$work/many"
    for ((i = 0; i < $(amount 200); ++i)); do printf 'int f%d(int a) { return a * %d; }\n' "$i" "$i" >"$work/many/f$i.c"; done
    # shellcheck disable=SC2016  # for make
    printf 'all: $(patsubst %%.c,%%.o,$(wildcard *.c))\n%%.o: %%.c\n\tgcc -c -o $@ $<\n' >"$work/many/Makefile"
  }
  while read -r name script; do
    "$work/measure" 1 "${vars[@]}" bash -c "$script" | awk -v name="$name" '$1 == "wall" { print name, $2 }'
  done <<EOF
loop for ((i = 0; i < $runs; ++i)); do /bin/true; done
echo for ((i = 0; i < $runs; ++i)); do x=\$(echo); done
make make -s -B -j2 -C $work/many
EOF
  [[ $1 == native ]] || was_recorded "$log"
}

# The longest waits in malloc while another process writes to the disk under the log and waits for it. Sides: tmpfs: the log is there.
stalling() {
  local log=$work/stall.ovc vars=() writer seconds
  [[ $1 != tmpfs ]] || log=/dev/shm/ovc-bench.$$.ovc
  [[ $1 == native ]] || vars=(LD_PRELOAD="$shim" OVCSHIM_LOG="$log")
  seconds=$(awk -v scale="$scale" 'BEGIN { print scale >= 1000 ? 4 : 0.2 }')
  while :; do dd if=/dev/zero of="$work/written" bs=1M count=64 conv=fsync status=none; done &
  writer=$!
  env "${vars[@]}" "$work/stall" "$seconds" 2200000  # the first lap pays for the file's pages
  kill "$writer"
  wait "$writer" 2>/dev/null || true
  [[ $1 == native ]] || was_recorded "$log"
  [[ $1 != tmpfs ]] || rm -f "$log"
}

# reading MIB: the commands of ovc on a log whose lanes are full
reading() {
  local mib=$2 log
  ((scale >= 100)) || mib=$((mib / 32))
  log=$work/log.$mib.ovc
  [[ -e $log ]] || fill_log "$mib" "$log"
  case $1 in
    stats) "$work/measure" 1 "$ovc" stats "$log" ;;
    why) "$work/measure" 1 "$ovc" why "$log" ;;
    show) ((mib > 256)) || "$work/measure" 1 "$ovc" show "$log" ;;
  esac
  cat "$log.facts"
}
# fill_log MIB FILE: a full log of MIB, call lane and event lane turned over, one refused fork in it. Its facts: how many records and lines it has.
fill_log() {
  local log=$2
  # shellcheck disable=SC2016  # for the inner shell
  env LD_PRELOAD="$shim" OVCSHIM_LOG="$log" OVCSHIM_CALLS_SIZE="$1M" bash -c '
    "$1/pair" mmap 1 70000
    "$1/pair" malloc 1 $(($2 * 40000))
    "$1/forks" 1 1 0 refused' - "$work" "$1" >/dev/null
  # Smaller requests are in the call lane, unless they were overwritten.
  "$ovc" stats --json "$log" | jq -r '"records \(([.processes[].totals.calls | .malloc.calls + .free.calls] | add) - .lost.calls_overwritten)"' >"$log.facts"
  (($1 > 256)) || echo "lines $("$ovc" show "$log" | wc -l)" >>"$log.facts"
}
