#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A file of /proc that somebody mounted over, as lxcfs does in a container: why, check, plan and the rehearsal go by the
# kernel's own totals, say whose file it is, and conclude nothing from what is not the kernel's.
. "$(dirname "$0")/../fixtures/e2e.sh"
((EUID == 0)) || skip "only root can mount"
unshare -m true 2>/dev/null || skip "no mount namespace can be made here"
if [[ ${1-} != --inside ]]; then  # in mode 0, whatever the machine has, and nobody changes it meanwhile
  status=0
  overcommit.sh 0 -- "$source_dir/tests/e2e/faked_proc.sh" --inside || status=$?
  exit $status
fi
ram_kb=$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)
((ram_kb > 4 << 20)) || skip "less than 4 GiB of RAM"
stat -f -c %t /proc/meminfo | grep -qx 9fa0 || skip "/proc/meminfo is already mounted over here"
awk '/^MemTotal:/ { print "MemTotal: 2097152 kB"; next } /^SwapTotal:/ { print "SwapTotal: 0 kB"; next } { print }' /proc/meminfo >meminfo
echo "0.00 0.00 0.00 1/3 3" >loadavg

# inside FILE CMD...: with this file over that of /proc
inside() {
  local file=$1
  shift
  # shellcheck disable=SC2016  # for the inner shell
  unshare -m bash -c 'mount --bind "$0" "/proc/$0" && exec "$@"' "$file" "$@"
}

# A fork refused for another reason, with a mapping larger than the faked RAM.
exits 0 inside meminfo env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/dead.ovc" refused map:anon:3G deadinit call:fork >/dev/null
exits 1 ovc why dead.ovc >dead.txt
finds "cause +the pid namespace for new children has lost its init" dead.txt

# One that is really too large: by the kernel's figure, and said whose.
exits 0 inside meminfo env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/large.ovc" refused call:mmap:9000G >/dev/null
exits 1 ovc why --json large.ovc >large.json
[[ $(jq -r '.verdicts[0] | .cause, (.figures[] | select(.label == "MemTotal") | .value, .source)' large.json | xargs) == \
  "single-request-over-ram-and-swap $ram_kb sysinfo(2)" ]] || fail "not the kernel's RAM: $(<large.json)"
finds "/proc/meminfo is not the kernel's" large.json

# A process that forks happily: check and plan agree, and the metrics give no figure of the faked file.
# shellcheck disable=SC2016
inside meminfo bash -c 'coproc F { LD_PRELOAD=$0 OVCSHIM_LOG=$1/forks.ovc exec forker ac=3145728; }; read -r _ <&"${F[0]}"
  ovc check $F_PID >$1/check.txt; echo $? >$1/check.status; ovc check --openmetrics $F_PID >$1/check.om
  echo fork >&"${F[1]}"; read -r answer <&"${F[0]}"; echo "$answer" >$1/answer; echo end >&"${F[1]}"
  wait' "$shim" "$work"
[[ $(<answer) == passed ]] || fail "the fork was meant to pass: $(<answer)"
[[ $(<check.status) == 0 ]] || { cat check.txt >&3; fail "check says it would not pass"; }
finds "/proc/meminfo is not the kernel's" check.txt
if grep -E '^ovc_.*(ram|memory_total).* 2147483648$' check.om; then fail "a faked figure among the metrics"; fi
exits 0 ovc plan forks.ovc >plan.txt
finds "passed at .*: would pass$" plan.txt

# The rehearsal of mode 0 refuses what the kernel would.
exits 1 inside meminfo env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/rehearsed.ovc" OVCSHIM_REHEARSE=mode=0 \
  refused call:mmap:3G >/dev/null

# Tasks that somebody else counted exclude nothing.
uid=$((200000 + $$))
chmod 777 .
exits 0 inside loadavg env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/tasks.ovc" \
  refused "uid:$uid" tasks:3 limit:nproc:4 call:fork >/dev/null
exits 1 ovc why tasks.ovc >tasks.txt
finds "cause +task limit of the user reached \(RLIMIT_NPROC\)|suspect +RLIMIT_NPROC 4" tasks.txt
finds "/proc/loadavg" tasks.txt
