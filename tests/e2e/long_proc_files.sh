#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Files of /proc longer than what is read at once: a user in thousands of groups ("Groups:" of /proc/self/status stands before VmLck
# and CapEff), and the size of a huge page, which stands near the end of /proc/meminfo, behind more lines with each kernel.
. "$(dirname "$0")/../fixtures/e2e.sh"
((EUID == 0)) || skip "needs root: groups, mounts"

cause() { { ovc why --json "$1" || (($? == 1)); } | jq -r '[.verdicts[] | select(.caller_coped | not) | .cause] | join(" ")'; }
python3 - "$(command -v refused)" "$shim" "$work/groups.ovc" >groups.out <<'end'
import os, sys
os.setgroups(range(100000, 105000))
os.environ.update(LD_PRELOAD=sys.argv[2], OVCSHIM_LOG=sys.argv[3])
os.execv(sys.argv[1], ["refused", "nocaps", "limit:memlock:vmlck+64K", "call:mmap-locked:lock+4K"])
end
(($(python3 -c 'import os; os.setgroups(range(100000, 105000)); print(len(open("/proc/self/status").read()))') > 20000)) || fail "the groups are not shown"
[[ $(cause groups.ovc) == rlimit-memlock ]] || fail "5,000 groups: told as $(cause groups.ovc)"

# The same file with 40 lines more in front of the last ones, as another kernel might have it.
unshare -m true 2>/dev/null || skip "no mount namespaces here: only the groups were tried"
grep -q '^Hugepagesize:' /proc/meminfo || skip "no huge pages here: only the groups were tried"
awk '/^HugePages_Total:/ { for (i = 0; i < 40; ++i) printf "Another%02d:       %8d kB\n", i, i } { print }' /proc/meminfo >meminfo
free=$(awk '$1 == "HugePages_Free:" { print $2 }' /proc/meminfo)
(($(wc -c <meminfo) > 2048)) || fail "the file is too short to be a test"
# shellcheck disable=SC2016  # of the inner shell
unshare -m bash -c 'mount --bind meminfo /proc/meminfo && exec env LD_PRELOAD="$1" OVCSHIM_LOG=huge.ovc refused "call:mmap-huge:$2M"' \
  - "$shim" $(((free + 1000000) * 2)) >huge.out
{ ovc why --json huge.ovc || (($? == 1)); } | jq -r '.verdicts[0] | "\(.cause) \(.figures[] | select(.label == "size of one") | .value)"' >said
finds '^huge-page-pool [0-9]+$' said
