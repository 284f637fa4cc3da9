#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A redis-server that was started without anything, mode 2: attached to, BGSAVE refused by the kernel, and `ovc why` gives the verdict
# that a preloaded one gets; its charge is what `ovc check` reads from smaps.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/redis.sh"
[[ $(uname -m) == x86_64 ]] || skip "attaching is for x86-64"
if [[ -z ${1-} ]]; then
  status=0
  "$source_dir/tests/fixtures/overcommit.sh" 2 +6G -- "$source_dir/tests/e2e/attach_verdict.sh" inside || status=$?
  exit "$status"
fi
on_exit() { redis_stop; }
redis_start server  # under mode 2, where jemalloc does without MAP_NORESERVE
redis_fill 1536
"$source_dir/tests/fixtures/overcommit.sh" 2 +1100M
ovc attach "$redis_pid" -o "$work/attached.ovc"
redis bgsave >answer || true
exits 1 ovc why attached.ovc >verdict
cat verdict
finds '^fork refused with ENOMEM at [0-9:.]+ in redis-server' verdict
finds 'asked by .*rdbSaveBackground.*\(BGSAVE\)' verdict
finds 'cause +commit limit reached \(vm.overcommit_memory = 2\)' verdict
ovc detach "$redis_pid"
