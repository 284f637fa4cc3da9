#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shows: the conclusion for this host: may its redis-server save in the background, what is there to set, and why. Every
#   figure is read or measured here: a probe server of 256 MiB forks once under the shim.
# Run:   ./examples/conclusion.sh      (after a build; no root needed)
# Expect:
#   with 256 MiB of data its fork is charged ... MiB...
#   ... fork ... exited, 0; ... page faults BGSAVE: ...
#   For this host:
#   Persistent...
set -euo pipefail
cd "$(dirname "$0")/.."
build=${OVC_BUILD:-build}
work=$(mktemp -d /var/tmp/ovc-conclusion.XXXXXX)
. tests/fixtures/redis.sh
trap 'redis_stop; rm -rf "$work"' EXIT
meminfo() { awk -v key="$1:" '$1 == key { print $2 }' /proc/meminfo; }
mib() { echo "$(($1 / 1024)) MiB"; }
flagged_kb() { awk -v flag=" $1( |$)" '/^Size:/ { size = $2 } /^VmFlags:/ && $0 ~ flag { sum += size } END { print sum + 0 }' "/proc/$redis_pid/smaps"; }
at_least() { [[ $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) == "$1" ]]; }

mode=$(</proc/sys/vm/overcommit_memory)
ram_kb=$(meminfo MemTotal)
swap_kb=$(meminfo SwapTotal)
data_mib=256
redis_start "$work" LD_PRELOAD="$(realpath "$build/libovcshim.so")" OVCSHIM_LOG="$work/redis.ovc"
redis_fill "$data_mib"
allocator=$(redis info memory | sed -n 's/^mem_allocator:\(.*\)\r$/\1/p')
charge_kb=$(flagged_kb ac)
uncharged_kb=$(flagged_kb nr)
redis bgsave >/dev/null || true
redis_bgsave_ends
redis_stop

cat <<EOF
Facts
  kernel $(uname -r), vm.overcommit_memory = $mode, RAM $(mib "$ram_kb"), swap $(mib "$swap_kb")
  CommitLimit $(mib "$(meminfo CommitLimit)"), Committed_AS $(mib "$(meminfo Committed_AS)")
  $(redis-server --version | cut -d' ' -f1-3), allocator $allocator
  with $data_mib MiB of data its fork is charged $(mib "$charge_kb"); $(mib "$uncharged_kb") are MAP_NORESERVE and not charged
EOF
"$build/ovc" forks "$work/redis.ovc" || (($? == 1))
echo
echo "For this host:"
half="keep maxmemory under $(mib $((ram_kb / 2))), half of RAM: while a child saves, each page that changes is held twice"
if ((mode == 2)); then
  free_kb=$(($(meminfo CommitLimit) - $(meminfo Committed_AS)))
  cat <<EOF
  Persistent up to about $(mib $((free_kb / 2))) of data: in mode 2 the heap is charged to the server and again to its child,
  and $(mib "$free_kb") are left under CommitLimit. Beyond that BGSAVE is refused and it is a cache only (save "").
  To raise it: vm.overcommit_ratio or swap; or mode 0 or 1, followed by a restart of redis-server (its heap keeps its flags).
EOF
elif ! at_least 5.2 "$(uname -r)"; then
  echo "  Persistent with vm.overcommit_memory = 1: before Linux 5.2 mode 0 compares each mapping of a fork with free memory;"
  echo "  $half."
elif ((uncharged_kb > charge_kb)); then
  cat <<EOF
  Persistent; no setting is needed for fork. The heap is MAP_NORESERVE, so a BGSAVE is charged $(mib "$charge_kb") whatever the size
  of the data, and in mode $mode commit refuses no more than $( ((mode)) && echo "nothing" || echo "a single mapping over RAM + swap, $(mib $((ram_kb + swap_kb)))").
  The startup warning about overcommit_memory is not about this server. What does limit it is RAM:
  $half.
  As a cache only (save "", no AOF, no replicas) nothing forks, and maxmemory may go up to RAM less what else runs here.
EOF
else
  cat <<EOF
  Persistent with vm.overcommit_memory = 1, or in mode 0 as long as no single mapping is over RAM + swap, $(mib $((ram_kb + swap_kb))):
  $allocator charges the whole heap to each fork. Also, $half.
EOF
fi
