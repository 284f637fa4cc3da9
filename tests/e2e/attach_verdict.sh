#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A redis-server of 2 GiB that was started without anything, mode 2: attached to, BGSAVE refused by the kernel, and `ovc why` gives the
# verdict that a preloaded one gets. OVC_ATTACH_MIB: of another size.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/redis.sh"
[[ $(uname -m) == @(x86_64|aarch64) ]] || skip "attaching is for x86-64 and aarch64"
mib=${OVC_ATTACH_MIB:-2048}
(($(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo) > 2 * mib + 2048)) || mib=1280  # above what must stay free
if [[ -z ${1-} ]]; then
  status=0
  "$source_dir/tests/fixtures/overcommit.sh" 2 "+$((mib + 4096))M" -- "$source_dir/tests/e2e/attach_verdict.sh" inside || status=$?
  exit "$status"
fi
on_exit() { redis_stop; }

# refused LOG HOW: BGSAVE of a server that is recorded in LOG; what is the same of both verdicts in LOG.same, figures apart
refused() {
  "$source_dir/tests/fixtures/overcommit.sh" 2 +1100M
  redis bgsave >answer || true
  exits 1 ovc why "$1" >verdict
  cat verdict
  finds '^fork refused with ENOMEM at [0-9:.]+ in redis-server' verdict
  finds 'asked by .*rdbSaveBackground.*\(BGSAVE\)' verdict
  finds 'cause +commit limit reached \(vm.overcommit_memory = 2\)' verdict
  exits 1 ovc why --json "$1" >verdict.json
  jq '.verdicts | map(select(.op == "fork") | {op, errno, comm, cause, summary, meaning, rule, purpose, labels: [.figures[]?.label],
    suspects: [.suspects[]?.cause]})' verdict.json >"$1.same"
  jq -r '.verdicts[] | select(.op == "fork") | .figures[] | select(.label == "charge").value' verdict.json >"$1.charge"
  "$source_dir/tests/fixtures/overcommit.sh" 2 "+$((mib + 4096))M"
}

redis_start server  # under mode 2, where jemalloc does without MAP_NORESERVE
redis_fill "$mib"
ovc attach "$redis_pid" -o "$work/attached.ovc"
refused attached.ovc
ovc detach "$redis_pid"
redis_stop
redis_start preloaded LD_PRELOAD="$shim" OVCSHIM_LOG="$work/preloaded.ovc"
redis_fill "$mib"
refused preloaded.ovc
same attached.ovc.same preloaded.ovc.same "the verdict of the one attached to and that of the preloaded one"
# Two servers with the same data: their allocators do not map the same to the page.
attached=$(<attached.ovc.charge) preloaded=$(<preloaded.ovc.charge)
apart=$((attached > preloaded ? attached - preloaded : preloaded - attached))
((attached > mib * 1024 && apart * 20 < attached)) || fail "charge: $attached kB, $preloaded kB"
echo "charge: $attached kB attached, $preloaded kB preloaded"
