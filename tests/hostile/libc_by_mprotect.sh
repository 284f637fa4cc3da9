#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Where the kernel refuses the write to /proc/self/mem (CONFIG_PROC_MEM_FORCE_PTRACE, proc_mem.force_override=), the calls inside libc
# are made visible by mprotect; what is left of it is told, and no mapping stays writable and executable. Where that is refused as
# well, ovc stats says by what. The refusal is made here by another file that lies over /proc/PID/mem.
. "$(dirname "$0")/../fixtures/e2e.sh"
((EUID == 0)) || skip "only root may mount over /proc/PID/mem"
[[ $(uname -m) == x86_64 ]] || skip "libc's calls are known on x86-64 only"

unshare -m true 2>why || skip "no mounts of its own can be made here: $(<why)"

# behind_mem LOG CMD...: CMD under the shim, with /dev/full in the place of its /proc/self/mem
behind_mem() {
  local log=$1
  shift
  # shellcheck disable=SC2016  # for the inner shell
  unshare -m bash -c 'mount --bind /dev/full /proc/$$/mem 2>/dev/null || exit 77
    exec env LD_PRELOAD="$0" OVCSHIM_LOG="$1" "${@:2}"' "$shim" "$log" "$@"
}
# libc_mappings FILE: access of each mapping of libc's code, from a maps file
libc_mappings() { awk '/\/libc\.so\.6/ && $2 ~ /x/ { print $2 }' "$1"; }
inside_libc() { ovc stats --json "$1" | jq -r '.processes[0].inside_libc'; }

under plain.ovc cat /proc/self/maps >plain.maps
[[ $(inside_libc plain.ovc) == recorded ]] || skip "this libc's code is not known: $(inside_libc plain.ovc)"

status=0
behind_mem mprotect.ovc cat /proc/self/maps >maps || status=$?
((status != 77)) || skip "this kernel lets nothing be mounted over /proc/PID/mem"
((status == 0)) || fail "cat ended with $status"
[[ $(inside_libc mprotect.ovc) == recorded ]] || fail "not recorded: $(inside_libc mprotect.ovc)"
! libc_mappings maps | grep -v r-xp || fail "libc's code is left writable"
(($(libc_mappings maps | wc -l) <= $(libc_mappings plain.maps | wc -l) + 14)) || fail "too many mappings: $(libc_mappings maps | wc -l)"
# libc's own brk and mmap beneath malloc, which only its patched code shows
ovc show --json mprotect.ovc >shown
[[ $(jq -s 'map(select(.flags? // [] | index("inside-libc"))) | length' shown) -gt 0 ]] || fail "no call inside libc is recorded"
# The pages changed are charged: the shim says so.
((100 + $(ovc stats --json mprotect.ovc | jq '.processes[0].own_commit_kb') > 100 + $(ovc stats --json plain.ovc | jq '.processes[0].own_commit_kb'))) ||
  fail "the charge of the changed pages is not in the shim's own cost"

# Children, threads and an allocator work as always.
behind_mem work.ovc python3 -c 'import subprocess, threading
threads = [threading.Thread(target=bytearray, args=(1 << 20,)) for _ in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
subprocess.run(["true"], check=True)' || fail "python3 ended with $?"

# Both ways refused.
cat >deny.py <<'PY'
import ctypes, os, sys
if ctypes.CDLL(None, use_errno=True).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE
    sys.exit(77)
os.execvp(sys.argv[1], sys.argv[1:])
PY
status=0
# shellcheck disable=SC2016  # for the inner shell
unshare -m bash -c 'mount --bind /dev/full /proc/$$/mem; exec python3 "$0" env LD_PRELOAD="$1" OVCSHIM_LOG="$2" cat /proc/self/maps' \
  "$work/deny.py" "$shim" "$work/denied.ovc" >maps || status=$?
if ((status == 77)); then
  echo "no PR_SET_MDWE here: its refusal is not tried"
else
  ((status == 0)) || fail "cat ended with $status under PR_SET_MDWE"
  said=$(inside_libc denied.ovc)
  [[ $said == *"/proc/self/mem: ENOSPC"*"mprotect: EACCES"* ]] || fail "the reason is not told: $said"
  ! libc_mappings maps | grep -v r-xp || fail "libc's code is left writable"
fi
