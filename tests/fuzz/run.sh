#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Fuzzes the reader of logs and the parsers of /proc texts, under ASan and UBSan.
#   run.sh [--seconds N | --executions N [--resume]] [--jobs J] [--seed N] [--afl] [HARNESS...]   60 seconds by default; both are for
#          all harnesses together, J of which run at a time (1). --seed: the same search each time, as in ctest, where the outcome must
#          depend on what is tested alone; a new one else. --resume: what the build folder already counts (counted.HARNESS: date,
#          commit, executions, ms, findings of each slice) belongs to N, so that a long run can be ended at any time and go on
#   record: one record    log: whole logs through every command    export: and every export and the report    elf: symbol files
#   texts, host, shim_texts: /proc, as the reader, `ovc check` and the shim parse it
# First the regressions (inputs of repaired findings), then the search. Ends with a table; exit status 1 with a finding, which is kept
# and told with the command that shows it again. --afl: the same harnesses under AFL++ instead of libFuzzer. The seeds in corpus/ are
# only read; what is found on the way stays in the build folder.
set -euo pipefail
here=$(realpath "$(dirname "$0")")
build=$(realpath -m "${OVC_BUILD:-$here/../../build}")
skip() { echo "skipped: $*"; exit 77; }

# Of 1000 executions, or 100 seconds: what is quick gets many, what is deep gets long. Time also bounds one input, in seconds.
harnesses=(record log export elf texts host shim_texts)
declare -A executions_of=([record]=480 [log]=5 [export]=4 [elf]=10 [texts]=120 [host]=1 [shim_texts]=380)
# shellcheck disable=SC2034  # used by name, in share()
declare -A seconds_of=([record]=15 [log]=30 [export]=20 [elf]=15 [texts]=5 [host]=10 [shim_texts]=10)
declare -A largest=([record]=2048 [log]=65536 [export]=65536 [elf]=32768 [texts]=512 [host]=8192 [shim_texts]=1024)

seconds=60 executions=0 resume=0 jobs=1 seed=0 engine=libfuzzer
chosen=()
while (($#)); do
  case $1 in
    --seconds) seconds=$2 executions=0; shift ;;
    --executions) executions=$2; shift ;;
    --resume) resume=1 ;;
    --seed) seed=$2; shift ;;
    --jobs) jobs=$2; shift ;;
    --afl) engine=afl ;;
    -h | --help) sed -n '3,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "unknown option: $1" >&2; exit 2 ;;
    *) [[ -n ${executions_of[$1]-} ]] || { echo "no such harness: $1" >&2; exit 2; }; chosen+=("$1") ;;
  esac
  shift
done
((${#chosen[@]})) || chosen=("${harnesses[@]}")
if ((resume)) && [[ $executions == 0 || $engine == afl ]]; then echo "--resume goes with --executions, and with libFuzzer" >&2; exit 2; fi

compiler=clang++
if [[ $engine == afl ]]; then
  compiler=afl-clang-fast++
  command -v afl-fuzz >/dev/null || skip "no afl-fuzz: apt-get install afl++"
  export AFL_USE_ASAN=1 AFL_USE_UBSAN=1 AFL_QUIET=1
fi
command -v $compiler >/dev/null || skip "no $compiler"
work=$build/fuzz/$engine
mkdir -p "$work"
echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' >"$work/probe.cc"
if ! $compiler -fsanitize=fuzzer,address,undefined -o "$work/probe" "$work/probe.cc" >"$work/probe.log" 2>&1; then
  skip "$compiler cannot link a fuzzer: apt-get install libclang-rt-dev"
fi

cmake -S "$here" -B "$work" -DCMAKE_CXX_COMPILER=$compiler >"$work/build.log"  # each time: make does not see a new harness in its own run
cmake --build "$work" -j"$(nproc)" -- "${chosen[@]}" >>"$work/build.log" 2>&1 || { tail -40 "$work/build.log"; exit 1; }
commit=$(git -C "$here" rev-parse --short HEAD 2>/dev/null || echo unknown)  # of what was built
echo "engine: $engine, $($compiler --version 2>/dev/null | sed -n 1p); $(nproc) processors; $(uname -r)"

export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1:handle_abort=1:malloc_context_size=2:quarantine_size_mb=16 UBSAN_OPTIONS=print_stacktrace=1
export LSAN_OPTIONS=suppressions=$here/lsan.supp:print_suppressions=0
# A unit that takes longer, or more memory, is a finding.
bounds=(-timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=512)

# share NAME TABLE TOTAL: this harness's part of a total, among those chosen
share() {
  local -n table=$2
  local sum=0 name
  for name in "${chosen[@]}"; do sum=$((sum + ${table[$name]})); done
  echo $((($3 * ${table[$1]} + sum - 1) / sum))
}

regressions() {
  local name=$1 input
  for input in "$here/regressions/$name"/*; do
    [[ -f $input ]] || continue
    "$work/$name" "${bounds[@]}" "$input" >"$work/$name.log" 2>&1 </dev/null || { report "$name" "$input"; return 1; }
  done
}

report() {
  findings=$((findings + 1))
  grep -aE '^(FINDING|SUMMARY|==[0-9]+==ERROR)|runtime error' "$work/$1.log" | cut -c1-300 | head -5 || tail -5 "$work/$1.log"
  echo "finding in $1; to see it again: $work/$1 $2"
}

# The shadow memory of ASan is 15 TiB of address space, which vm.overcommit_memory = 2 refuses. A test that has set it for a moment holds
# this lock (tests/fixtures/overcommit.sh); whoever has set it for good is told so by the search that fails.
overcommit_lock=/tmp/ovcshim-overcommit.lock
refused_by_a_test() {
  grep -qa 'AddressSanitizer failed to allocate .*errno: 12' "$1" && ! grep -qa '^stat::' "$1" &&
    [[ -w $overcommit_lock ]] && flock "$overcommit_lock" true && [[ $(</proc/sys/vm/overcommit_memory) != 2 ]]
}

# one_search NAME BOUND: sets runs and peak
one_search() {
  local name=$1 status=0 input found=$work/found/$1
  if ((seed)); then found=$work/seeded/$1; rm -rf "$found"; fi
  mkdir -p "$found"
  local seeds=()
  [[ ! -d $here/corpus/$name ]] || seeds=("$here/corpus/$name")
  while
    status=0
    "$work/$name" "${bounds[@]}" "$2" -seed="$seed" -max_len="${largest[$name]}" -print_final_stats=1 -artifact_prefix="$work/findings/$name-" \
      -entropic=0 "$found" "${seeds[@]}" >"$work/$name.log" 2>&1 </dev/null || status=$?
    ((status)) && refused_by_a_test "$work/$name.log"
  do :; done
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$name.log")
  peak=$(sed -n 's/^stat::peak_rss_mb: *//p' "$work/$name.log")
  ((status == 0)) && return
  input=$(sed -n 's/.*Test unit written to //p' "$work/$name.log" | tail -1)
  report "$name" "${input:-(see $work/$name.log)}"
}

# in_slices NAME TOTAL: small enough that little is lost when the run is ended
slice=400000
in_slices() {
  local name=$1 counted=$work/counted.$1 sum start before
  while sum=$(awk '{ sum += $3 } END { print sum + 0 }' "$counted" 2>/dev/null || echo 0) && ((sum < $2)); do
    start=$(date +%s%N) before=$findings
    one_search "$name" -runs=$(($2 - sum < slice ? $2 - sum : slice))
    echo "$(date +%FT%T) $commit ${runs:-0} $((($(date +%s%N) - start) / 1000000)) $((findings - before))" >>"$counted"
    ((findings == before)) || break
  done
}

with_libfuzzer() {
  local name=$1
  mkdir -p "$work/findings"
  if ((resume)); then in_slices "$name" "$(share "$name" executions_of "$executions")"
  elif ((executions)); then one_search "$name" -runs="$(share "$name" executions_of "$executions")"
  else one_search "$name" -max_total_time="$(share "$name" seconds_of "$seconds")"; fi
}

with_afl() {
  local name=$1 bound=()
  local out=$work/afl_out/$name from=$work/afl_seeds/$name
  if ((executions)); then bound=(-E "$(share "$name" executions_of "$executions")"); else bound=(-V "$(share "$name" seconds_of "$seconds")"); fi
  rm -rf "$out" "$from"
  mkdir -p "$out" "$from"
  cp "$here/corpus/$name"/* "$from" 2>/dev/null || true
  printf 'seed' >"$from/a"
  # AFL++ has sanitizer options of its own, and refuses others.
  env -u ASAN_OPTIONS -u LSAN_OPTIONS -u UBSAN_OPTIONS AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_UI=1 \
    AFL_NO_AFFINITY=1 afl-fuzz -i "$from" -o "$out" -m none -t 10000 -G "${largest[$name]}" "${bound[@]}" -- "$work/$name" >"$work/$name.log" 2>&1 </dev/null || {
    tail -5 "$work/$name.log"
    report "$name" "(afl-fuzz itself failed; see $work/$name.log)"
    return
  }
  runs=$(sed -n 's/^execs_done *: *//p' "$out/default/fuzzer_stats")
  peak=$(sed -n 's/^peak_rss_mb *: *//p' "$out/default/fuzzer_stats")
  local input
  for input in "$out"/default/{crashes,hangs}/id*; do [[ ! -f $input ]] || report "$name" "$input"; done
}

# One harness; what came of it goes into a file, for it may run beside others.
fuzz() {
  local name=$1 start
  start=$(date +%s%N)
  [[ $engine == afl ]] || regressions "$name" || true
  with_$engine "$name"
  if ((resume)); then awk -v peak="${peak:--}" '{ runs += $3; ms += $4; found += $5 } END { print runs, ms, found, peak }' "$work/counted.$name"
  else echo "${runs:-0} $((($(date +%s%N) - start) / 1000000)) $findings ${peak:--}"; fi >"$work/$name.result"
}

runs='' peak='' findings=0
for name in "${chosen[@]}"; do
  rm -f "$work/$name.result"
  while (($(jobs -rp | wc -l) >= jobs)); do wait -n || true; done
  fuzz "$name" &
done
wait

printf '\n%-12s %14s %10s %12s %9s %12s\n' harness executions seconds 'executions/s' findings 'peak RSS MB'
sum=0 all_ms=0 all_findings=0
line() { printf '%-12s %14s %6d.%03d %12d %9d %12s\n' "$1" "$2" $(($3 / 1000)) $(($3 % 1000)) $(($2 * 1000 / ($3 + 1))) "$4" "$5"; }
for name in "${chosen[@]}"; do
  read -r count ms found rss <"$work/$name.result" || { echo "no result of $name"; exit 1; }
  line "$name" "$count" "$ms" "$found" "$rss"
  sum=$((sum + count)) all_ms=$((all_ms + ms)) all_findings=$((all_findings + found))
done
line total $sum $all_ms $all_findings -
((all_findings == 0)) || exit 1
