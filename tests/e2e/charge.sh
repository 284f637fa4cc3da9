#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The verdict's figures for a BGSAVE refused by the kernel, against what smaps and meminfo said just before: the charge is
# the sum of the `ac` and not `dc` mappings, kB for kB; headroom and shortfall follow from kernel-facts' inequality:
#   charge + Committed_AS < CommitLimit - admin reserve (unless CAP_SYS_ADMIN) - min(total_vm / 32, user reserve)
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/redis.sh"
on_exit() { redis_stop; }

if [[ ${1-} != --inside ]]; then
  exec overcommit.sh 2 +3G -- "$0" --inside
fi
redis_start "$work/redis" LD_PRELOAD="$shim" OVCSHIM_LOG="$work/redis.ovc"
redis_fill 1400
overcommit.sh 2 +1100M
smaps=$(awk '/^Size:/ { size = $2 } /^VmFlags:/ && / ac( |$)/ && !/ dc( |$)/ { sum += size; n++ } END { print sum, n }' "/proc/$redis_pid/smaps")
read -r charge_kb mappings <<<"$smaps"
meminfo=$(cat /proc/meminfo)
total_vm_pages=$(cut -d' ' -f1 "/proc/$redis_pid/statm")
redis bgsave && fail "BGSAVE was not refused"
finds "Can't save in background: fork: Cannot allocate memory" redis/redis.log
redis_stop

exits 1 ovc why --json redis.ovc >why.json
jq . why.json
said() { jq -r "$1" why.json; }
field() { awk -v key="$1:" '$1 == key { print $2 }' <<<"$meminfo"; }
echo "from smaps: $charge_kb kB in $mappings mappings; total_vm $total_vm_pages pages"
field CommitLimit
field Committed_AS
[[ $(said '[.. | .cause? // empty] | unique | join(" ")') == *commit-limit* ]] || fail "cause"
[[ $(said "[.. | numbers] | index($charge_kb) != null") == true ]] || fail "charge of $charge_kb kB is not there"
[[ $(said "[.. | numbers] | index($mappings) != null") == true ]] || fail "$mappings mappings are not there"
