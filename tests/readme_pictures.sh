#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Makes the picture in examples/README.md from a real run: redis-server, whose BGSAVE a rehearsed limit refuses, and `ovc report`.
# Needs chromium (tests/setup.sh exports) and a build; OVC_BUILD names its folder.
. "$(dirname "$0")/fixtures/e2e.sh"
. "$source_dir/tests/fixtures/redis.sh"
. "$source_dir/tests/fixtures/report_logs.sh"
command -v chromium >/dev/null || skip "no chromium (tests/setup.sh exports)"
on_exit() { redis_stop; }
log_of_redis ovcshim.redis-server.ovc
exits 1 ovc report -o report.html
PYTHONPATH=$source_dir/tests/fixtures python3 - report.html "$source_dir/examples/pictures/report.png" <<'EOF'
import sys

from browser import Browser

with Browser(960, 900) as browser:
    browser.open(sys.argv[1])
    browser.value("document.querySelectorAll('.facts, nav').forEach((part) => part.remove())")  # the picture is small
    browser.settled()
    height = browser.value("document.querySelector('#timeline details').getBoundingClientRect().top + scrollY")
    browser.picture(sys.argv[2], clip={"x": 0, "y": 0, "width": 960, "height": height})
EOF
bytes=$(stat -c %s "$source_dir/examples/pictures/report.png")
((bytes < 240000)) || fail "the picture has $bytes bytes"
