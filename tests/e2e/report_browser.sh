#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Pages of `ovc report` in headless Chromium: charts, hover, zoom by button, drag, wheel and keyboard, dark, narrow, paper, no
# word on the console; also of a log of a million events, which is made, read and opened in bounded time.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/redis.sh"
. "$source_dir/tests/fixtures/report_logs.sh"
command -v chromium >/dev/null || skip "no chromium (tests/setup.sh exports)"
(($(df --output=avail . | tail -1) > 1024 * 1024)) || skip "no room for a log of 360 MB"
on_exit() { redis_stop; }

log_of_redis redis.ovc
log_of_hostile_names hostile.ovc
log_of_a_million million.ovc
events=$(ovc stats --json million.ovc | jq .events)
((events >= 1000000)) || fail "only $events events"
for log in redis hostile million; do
  SECONDS=0
  timeout 240 ovc report $log.ovc -o $log.html || (($? == 1)) || fail "ovc report $log.ovc"
  echo "$log.ovc: $((SECONDS)) s, $(stat -c %s $log.html) bytes"
  (($(stat -c %s $log.html) < 3000000)) || fail "$log.html is large"
done
rm million.ovc
python3 "$source_dir/tests/fixtures/report_in_browser.py" redis.html hostile.html million.html
