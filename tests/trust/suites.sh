#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Other people's tests, natively and under the shim: the same results, test by test.
#   suites.sh [--quick] [SUITE...]   suites: python stress chromium; all by default
# A test that differs is run again, both ways; only one that differs twice is a finding. A suite that is not installed is named and
# left out (`tests/setup.sh suites`); exit status 77 if that is all of them, 1 if something was found.
# shellcheck disable=SC2317  # has_X, parts_X and results_X are called by name
set -euo pipefail
build=$(realpath "${OVC_BUILD:-build}")
shim=$build/libovcshim.so ovc=$build/ovc
quick=0 chosen=()
for word; do
  case $word in
    --quick) quick=1 ;;
    python | stress | chromium) chosen+=("$word") ;;
    *) echo "suites.sh: no suite named $word" >&2; exit 2 ;;
  esac
done
((${#chosen[@]})) || chosen=(python stress chromium)
[[ -x $ovc ]] || { echo "suites.sh: nothing is built in $build" >&2; exit 2; }
work=$(mktemp -d /var/tmp/ovc-suites.XXXXXX)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cp "$shim" "$work/libovcshim.so"  # where every user can load it

# run SIDE CMD...: natively or recorded; a run that was not recorded proves nothing
run() {
  local side=$1 log=$work/log/$RANDOM.ovc status=0
  shift
  if [[ $side == native ]]; then timeout 600 nice -n 5 "$@"; return; fi
  mkdir -p "$work/log" && chmod 777 "$work/log"
  timeout 600 nice -n 5 env LD_PRELOAD="$work/libovcshim.so" OVCSHIM_LOG="$log" "$@" || status=$?
  "$ovc" stats --json "$log" >/dev/null || echo "this suite not-recorded"
  rm -rf "$work/log"
  return "$status"
}

# ---- the suites: has_X says nothing or what is missing, parts_X lists its parts, results_X SIDE PART prints lines TEST RESULT.

python=/usr/bin/python3
has_python() { "$python" -c 'import test.test_mmap, test.test_subprocess' 2>/dev/null || echo "libpython3-testsuite"; }
parts_python() {
  echo test_fork1 test_mmap test_signal test_resource test_wait3 test_wait4 test_popen test_thread test_posix test_pty
  ((quick)) || echo test_subprocess test_threading test_multiprocessing_fork test_multiprocessing_spawn test_ctypes test_os \
    test_concurrent_futures test_faulthandler test_tracemalloc test_shutil test_tempfile test_gc test_select test_asyncio
}
results_python() {
  mkdir -p "$work/here"
  (cd "$work/here" && run "$1" "$python" -m test -v --timeout 300 "$2" 2>&1 </dev/null) >"$work/out" || echo "$2 exit-status-$?"
  awk '/^this suite / { print $1 "-" $2, $3 }
    match($0, /^[A-Za-z_0-9]+ \([A-Za-z_0-9.<>]+\)/) { name = $1 $2 }
    name && match($0, /\.\.\. (ok|FAIL|ERROR|skipped|expected failure|unexpected success)/) { print name, $NF == "ok" ? "ok" : substr($0, RSTART + 4, RLENGTH - 4); name = "" }' "$work/out"
}

has_stress() { command -v stress-ng >/dev/null || echo stress-ng; }
parts_stress() {
  echo fork vfork clone spawn mmap mmapfork mprotect mremap madvise malloc vm brk shm memfd pthread exec signal sigsegv
  ((quick)) || echo vforkmany mmapaddr mmapfixed mmaphuge mmapmany bigheap stack remap mlock munmap shm-sysv daemon zombie sigq \
    sigpending sigabrt sigchld wait resources rmap mincore numa sysbadaddr userfaultfd futex context prctl rlimit seccomp
}
results_stress() {
  local status=0
  mkdir -p "$work/here"
  (cd "$work/here" && run "$1" stress-ng "--$2" 1 "--$2-ops" 20 --timeout 10 --no-rand-seed) >"$work/out" 2>&1 || status=$?
  echo "$2 $status"
  grep '^this suite' "$work/out" | sed 's/^this suite/this-suite/' || true
}

# With its own sandbox, as an ordinary user: zygotes with a thread pointer of their own, namespaces, seccomp.
has_chromium() {
  command -v chromium >/dev/null || { echo chromium; return; }
  ((EUID == 0)) || { echo "root, to become somebody else"; return; }
  [[ $(results_chromium native page) == "page sum-42" ]] || echo "user namespaces for its sandbox, or time"
}
parts_chromium() { echo page; }
results_chromium() {
  local home=$work/home
  mkdir -p "$home" && chown nobody "$home"
  echo '<script>document.write("sum-" + (20 + 22))</script>' >"$work/page.html"
  chmod 644 "$work/page.html"
  run "$1" setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$home" chromium --headless --disable-gpu --dump-dom \
    "file://$work/page.html" >"$work/out" 2>"$work/err" || echo "$2 exit-status-$?"
  sed -n 's/.*\(sum-[0-9][0-9]*\).*/page \1/p' "$work/out"
  grep -q Zygote "$work/err" && echo "page zygote-died"
  rm -rf "$home"
}

# ---- the comparison

# differing SUITE PART: the lines that differ between the two sides
differing() {
  "results_$1" native "$2" | sort >"$work/native"
  "results_$1" recorded "$2" | sort >"$work/recorded"
  [[ -s $work/native ]] || echo "< $2 gave no results"
  diff "$work/native" "$work/recorded" | grep '^[<>]' || true
}

found=0 ran=0
for suite in "${chosen[@]}"; do
  missing=$("has_$suite")
  [[ -z $missing ]] || { echo "$suite: left out, it needs $missing"; continue; }
  tests=0 findings=0
  for part in $("parts_$suite"); do
    differences=$(differing "$suite" "$part")
    tests=$((tests + $(wc -l <"$work/native")))
    [[ -n $differences ]] || continue
    # by the name alone: what a test said of itself may differ from run to run
    again=$(comm -12 <(awk '{ print $2 }' <<<"$differences" | sort -u) <(differing "$suite" "$part" | awk '{ print $2 }' | sort -u))
    [[ -n $again ]] || continue
    findings=$((findings + $(wc -l <<<"$again")))
    echo "$suite $part differs:"; grep -F "$again" <<<"$differences" || true
  done
  ran=1 found=$((found + findings))
  echo "$suite: $tests tests, $findings differ"
done
((ran)) || { echo "skipped: none of these suites is installed"; exit 77; }
exit $((found > 0))
