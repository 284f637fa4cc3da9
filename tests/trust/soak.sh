#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A redis-server under load that saves every second for minutes or hours, while limits refuse some of its forks, a small log wraps again
# and again, and `ovc follow` watches: what was told is compared with what redis says and with the limits that were set.
#   soak.sh [--minutes N] [--keep FILE]   2 minutes by default; what was gathered goes to FILE
# Then the judge is judged: what was gathered is damaged in each way that it has to notice. Without root: all but the commit limit.
. "$(dirname "$0")/../fixtures/e2e.sh"
minutes=2 keep=
while (($#)); do
  case $1 in
    --minutes) minutes=$2 ;;
    --keep) keep=$(realpath -m "$2") ;;
    *) fail "unknown option: $1" ;;
  esac
  shift 2
done
command -v redis-server >/dev/null || skip "no redis-server"
python=$(command -v /usr/bin/python3 || command -v python3)
seconds=$(awk -v minutes="$minutes" 'BEGIN { print minutes * 60 }')

status=0
"$python" "$source_dir/tests/trust/soak/drive.py" "$seconds" "$work" || status=$?
[[ -z $keep || ! -e gathered.json ]] || cp gathered.json "$keep"
((status == 0)) || { tail -n 20 output server/redis.log 2>/dev/null; fail "the soak ends with $status"; }
"$python" "$source_dir/tests/trust/soak/judge.py" --self-test gathered.json
