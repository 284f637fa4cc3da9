#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `ovc check` before a redis-server's BGSAVE: under the mode it was started in and under the other, with the note that its
# heap was mapped under another mode, and the BGSAVE that then passes or is refused as foretold.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/redis.sh"
on_exit() { redis_stop; }

if [[ ${1-} != --inside ]]; then
  status=0
  overcommit.sh 0 -- "$source_dir/tests/e2e/check_redis.sh" --inside || status=$?
  exit $status
fi
ldd "$(command -v redis-server)" | grep libjemalloc >/dev/null || skip "this redis-server has no libjemalloc"

# bgsave ANSWER: what check says, then what BGSAVE does
bgsave() {
  local wanted=$1 verdict real
  ovc check "$redis_pid" --json >check.json || (($? == 1)) || fail "ovc check"
  verdict=$(jq -r '.processes[0].verdict' check.json)
  if [[ $(redis bgsave) == "Background saving started" ]]; then real=pass; else real=fail; fi
  redis_bgsave_ends
  [[ "$verdict $real" == "$wanted $wanted" ]] || fail "check says $verdict, BGSAVE: $real, not $wanted"
}
notes() { jq -r '.processes[0].notes[]' check.json >notes; }

redis_start "$work/mode0"
redis_fill 200
bgsave pass
(($(jq '.processes[0].charge.kb' check.json) < 102400 && $(jq '.processes[0].not_charged.noreserve_kb' check.json) > 204800)) ||
  fail "the heap of a server started in mode 0 is MAP_NORESERVE"
notes
[[ ! -s notes ]] || fail "$(<notes)"
overcommit.sh 2 +2G
bgsave pass
notes
finds '^[0-9,]+ kB were mapped MAP_NORESERVE in mode 0 or 1 and stay uncharged' notes
overcommit.sh 0
redis_stop

overcommit.sh 2 +4G
redis_start "$work/mode2"
redis_fill 1300
bgsave pass
notes
[[ ! -s notes ]] || fail "$(<notes)"
overcommit.sh 2 +1100M
bgsave fail
exits 1 ovc check "$redis_pid" >out
finds '^  cause       commit limit reached \(vm.overcommit_memory = 2\)$' out
finds '^  to do       this service only: [0-9]+ MiB less data' out
exits 1 ovc plan "$redis_pid" >out
finds '^  growth      the process must free [0-9,]+ kB of charged memory to fork$' out
overcommit.sh 0
bgsave pass
notes
finds '^libjemalloc is loaded but no memory is MAP_NORESERVE' notes
