# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: MIT
# The sides of the benchmark: how a command is run bare, under the shim, under each peer. To be sourced; needs work, shim, out.
#   on SIDE CMD...      runs CMD that way
#   why_not SIDE        nothing, or the reason why it cannot be run here (the table shows it)
#   share SIDE          per mille of the usual amount of work: a tool that is a thousand times slower gets less to do
#   sides_begin, sides_end
lttng_pid=

# under_shim LOG CMD...: the log stays for the next round. A new one for each would be measured too: its 127 MB, and what the kernel does
# with those of the last one, cost the next fork of 2 GiB some milliseconds.
under_shim() {
  local log=$work/$1.ovc
  shift
  env LD_PRELOAD="$shim" OVCSHIM_LOG="$log" "$@"
  was_recorded "$log"
}
# Without the shim a program runs on natively: that must not be taken for the shim's figure.
was_recorded() { [[ -s $1 ]] || { echo "no log was written" >&2; return 1; }; }
libc=$(ldd /bin/true | awk '$1 ~ /^libc\.so/ { print $3 }')
on() {
  local side=$1
  shift
  case $side in
    native | again | limit) "$@" ;;
    recorded) under_shim recorded "$@" ;;
    counted) under_shim counted OVCSHIM_CALLS_SIZE=0 "$@" ;;
    memusage) env LD_PRELOAD=libmemusage.so MEMUSAGE_OUTPUT="$work/memusage.out" "$@" 2>/dev/null ;;
    heaptrack) heaptrack --output "$work/heaptrack.out" "$@" ;;  # its own words are no "metric value"
    lttng) env LD_PRELOAD=liblttng-ust-libc-wrapper.so.1 "$@" ;;
    uftrace) uftrace record --force --data "$work/uftrace.out" "$@" ;;
    bpftrace) bpftrace -q -e "uprobe:$libc:malloc, uprobe:$libc:free { @calls = count(); }" -c "$*" ;;
    ltrace) ltrace -f -e malloc+free -o "$work/ltrace.out" "$@" ;;
    strace) strace -f -o "$work/strace.out" "$@" ;;
    *) echo "sides.sh: no side $side" >&2; return 2 ;;
  esac
}

share() {
  case $1 in
    memusage | heaptrack) echo 100 ;;
    lttng) echo 50 ;;
    uftrace) echo 20 ;;
    bpftrace) echo 2 ;;
    ltrace) echo 0.1 ;;
    *) echo 1000 ;;
  esac
}

preloadable() { [[ $(LD_PRELOAD=$1 /bin/true 2>&1) != *'cannot be preloaded'* ]]; }
why_not() {
  case $1 in
    native | again | limit | recorded | counted | joined | tmpfs | stats | why | show) ;;
    memusage) preloadable libmemusage.so || echo "not installed (libc-devtools)" ;;
    lttng) [[ -n $lttng_reason ]] || return 0; echo "$lttng_reason" ;;
    *) # tools that run a command: they are tried
      command -v "$1" >/dev/null || { echo "not installed ($1)"; return 0; }
      [[ $(on "$1" "$work/pair" malloc 1 10 2>/dev/null) == *wall* ]] || echo "cannot trace on this machine" ;;
  esac
}

# A session in overwrite mode with snapshots: the newest events stay in memory, nothing is written until asked for.
lttng_reason="not installed (lttng-tools, liblttng-ust1)"
lttng_begin() {
  command -v lttng lttng-sessiond >/dev/null && preloadable liblttng-ust-libc-wrapper.so.1 || return 0
  export LTTNG_HOME=$work/lttng
  mkdir -p "$LTTNG_HOME"
  if ! lttng --no-sessiond list >/dev/null 2>&1; then
    lttng_reason="its session daemon does not start"
    lttng-sessiond --daemonize --no-kernel --pidfile "$work/lttng.pid" >/dev/null 2>&1 || return 0
    lttng_pid=$(<"$work/lttng.pid")
  fi
  lttng_session=ovc-bench-$$
  { lttng create "$lttng_session" --snapshot --output="$work/lttng/out" &&
    lttng enable-channel -u --overwrite --subbuf-size 4M --num-subbuf 4 calls &&
    lttng enable-event -u -c calls 'lttng_ust_libc:*' && lttng start; } >"$work/lttng.log" 2>&1 ||
    { lttng_reason="no session: $(tail -n 1 "$work/lttng.log")"; return 0; }
  lttng_reason=
}
sides_begin() { lttng_begin; }
# The daemon does not always end when it is told to, nor do its helpers when it is gone.
sides_end() {
  [[ -z ${lttng_session-} ]] || lttng destroy "$lttng_session" >/dev/null 2>&1 || true
  [[ -n $lttng_pid ]] || return 0
  local all pid
  mapfile -t all < <(echo "$lttng_pid"; lttng_helpers "$lttng_pid")
  kill "$lttng_pid" 2>/dev/null || true
  for pid in "${all[@]}"; do
    for _ in {1..100}; do
      [[ $(ps -o stat= -p "$pid") == [!Z]* ]] || continue 2
      sleep 0.05
    done
    kill -9 "$pid" 2>/dev/null || true
  done
}
# Its children and theirs.
lttng_helpers() {
  local child
  for child in $(pgrep -P "$1"); do
    echo "$child"
    lttng_helpers "$child"
  done
}
