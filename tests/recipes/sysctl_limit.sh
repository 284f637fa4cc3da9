#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# examples/recipes/sysctl/90-redis-overcommit.conf: sysctl takes it, and each line of it that is a comment as well; applied, it is what the
# kernel has; and what it says of the modes is what `ovc plan` and `ovc check` answer.
. "$(dirname "$0")/../fixtures/e2e.sh"
PATH=$PATH:/usr/sbin:/sbin
file=$source_dir/examples/recipes/sysctl/90-redis-overcommit.conf
command -v sysctl >/dev/null || skip "no sysctl (package procps)"
meminfo() { awk -v key="$1:" '$1 == key { print $2 }' /proc/meminfo; }

# Every setting that it names is one of this kernel's.
sed -nE 's/^#?(vm\.[a-z_]+ = [0-9]+)$/\1/p' "$file" >settings
(($(wc -l <settings) == 6)) || fail "settings: $(<settings)"
sysctl --dry-run -p "$file" >dry || fail "sysctl does not take it"
same dry - <<<'vm.overcommit_memory = 0'
sysctl --dry-run -p settings >dry || fail "sysctl does not take what is commented out"
cut -d ' ' -f 1 settings | while read -r key; do sysctl -n "$key" >/dev/null || fail "no $key"; done

# `ovc plan` for a process of ours: the limit by the formula of the file, and modes 0 and 1 let it pass.
sleep 60 &
pid=$!
on_exit() { kill "$pid"; }
limit() { (ovc plan "$pid" --json --mode 2 "$@" || (($? == 1))) | jq .settings.commit_limit_kb; }
ram=$(meminfo MemTotal) swap=$(meminfo SwapTotal)
(($(meminfo HugePages_Total) == 0)) || skip "huge pages are taken off the RAM that counts"
limit=$(limit --ratio 80)
((limit - (ram * 80 / 100 + swap) >= -8 && limit - (ram * 80 / 100 + swap) <= 8)) || fail "ratio 80: $limit kB"
[[ $(limit --kbytes 20971520) == $((20971520 + swap)) ]] || fail "kbytes: $(limit --kbytes 20971520) kB"
ovc check "$pid" >answer || (($? == 1))
finds 'would pass  mode 0: yes   mode 1: yes   mode 2: ' answer

[[ -w /proc/sys/vm/overcommit_memory ]] || skip "only root can set it: the file was not applied"
# shellcheck disable=SC2016  # for the shell in it
overcommit.sh 1 -- bash -c 'sysctl -q -p "$1" && cat /proc/sys/vm/overcommit_memory' - "$file" >applied ||
  { (($? == 77)) || fail "not applied"; skip "the file was not applied: $(<applied)"; }
same applied - <<<0
