#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The verdict's figures for a BGSAVE refused by the kernel, against what smaps and meminfo said just before: the charge is
# the sum of the `ac` and not `dc` mappings, kB for kB; headroom and shortfall follow from kernel-facts' inequality:
#   charge + Committed_AS < CommitLimit - admin reserve (unless CAP_SYS_ADMIN) - min(total_vm / 32, user reserve)
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/redis.sh"
on_exit() { redis_stop; }

if [[ ${1-} != --inside ]]; then
  status=0
  overcommit.sh 2 +3500M -- "$source_dir/tests/e2e/charge.sh" --inside || status=$?
  exit $status
fi
redis_start "$work/redis" LD_PRELOAD="$shim" OVCSHIM_LOG="$work/redis.ovc"
redis_fill 1600
cp "/proc/$redis_pid/smaps" smaps
sums=$(awk '/^Size:/ { size = $2 } /^VmFlags:/ && / ac( |$)/ && !/ dc( |$)/ { sum += size; n++ } END { print sum, n }' smaps)
read -r charge_kb mappings <<<"$sums"
user_reserve_kb=$(</proc/sys/vm/user_reserve_kbytes)
total_vm_pages=$(cut -d' ' -f1 "/proc/$redis_pid/statm")
overcommit.sh 2 +1030M
answer=$(redis bgsave)
meminfo=$(cat /proc/meminfo)
[[ $answer == ERR* ]] || fail "BGSAVE was not refused"
finds "Can't save in background: fork: Cannot allocate memory" redis/redis.log
redis_stop

exits 1 ovc why --json redis.ovc >why.json
jq . why.json
said() { jq -r ".verdicts[0]$1" why.json; }
is() { [[ $(said "$1") == "$2" ]] || fail "$1 is $(said "$1"), not $2"; }
field() { awk -v key="$1:" '$1 == key { print $2 }' <<<"$meminfo"; }
near() { (($(said "$1") - $2 < $3 && $2 - $(said "$1") < $3)) || fail "$1 is $(said "$1"), not about $2"; }
is .cause commit-limit
is .errno ENOMEM
is .purpose BGSAVE
is '.asked_by[:3] | join(" ")' "redisFork rdbSaveBackground bgsaveCommand"
is .charge.kb "$charge_kb"
is .charge.mappings "$mappings"
is .mode2.request_kb "$charge_kb"
is .mode2.commit_limit_kb "$(field CommitLimit)"
near .mode2.committed_as_kb "$(field Committed_AS)" 200000  # other processes go on meanwhile
reserve_kb=$((total_vm_pages * 4 / 32))
if ((reserve_kb > user_reserve_kb)); then reserve_kb=$user_reserve_kb; fi
near .mode2.user_reserve_kb "$reserve_kb" 64
# Recomputed from the verdict's own figures.
allowed_kb=$(($(said .mode2.commit_limit_kb) - $(said .mode2.user_reserve_kb) - $(said .mode2.admin_reserve_kb)))
headroom_kb=$((allowed_kb - $(said .mode2.committed_as_kb)))
is .mode2.allowed_kb $allowed_kb
is .mode2.headroom_kb $headroom_kb
near .short_by $((charge_kb - headroom_kb)) 5  # strictly less is allowed: one page more is short
is .short_unit kB
# The mapping at which the kernel stopped: the sum up to it passes the headroom, give or take the kernel counter's error.
until_kb=$(awk -v last="$(said .charge.refused_at.index)" '/^Size:/ { size = $2 } /^VmFlags:/ && / ac( |$)/ && !/ dc( |$)/ && n++ < last { sum += size } END { print sum }' smaps)
(($(said .charge.refused_at.kb) > 0 && until_kb + $(said .error_band) >= headroom_kb)) || fail "refused at $until_kb kB, headroom $headroom_kb kB"
echo "charge $charge_kb kB over $mappings mappings; headroom $headroom_kb kB; refused when $until_kb kB were asked for"
