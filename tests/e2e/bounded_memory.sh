#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The memory of ovc does not grow with the call lane: on a full log of 272 MB every command stays below the 64 MB that
# tests/bench/README.md names, and the program's own records are all read.
. "$(dirname "$0")/../fixtures/e2e.sh"
readonly kMostKb=65536 kLaneKb=$((256 * 1024))
(($(df --output=avail . | tail -1) > 2 * kLaneKb)) || skip "no room for a log of 272 MB"
OVCSHIM_CALLS_SIZE=256M under full.ovc fills_calls 2600000  # 16 bytes a call: 20.8 million, a quarter more than there is room for

# most_kb CMD...: the most memory that CMD ever had resident
most_kb() {
  python3 -c '
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=open("out", "w")).returncode
assert status in (0, 2), status  # 2: no fork to plan for is left
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' "$@"
}
for command in stats why show "show --failed" forks maps plan report "stats --json" "why --json" "forks --json" "maps --json" "plan --json" \
  "export --to csv --calls" "export --to perfetto" "export --to folded" "export --to openmetrics" "export --to sqlite -o out.db"; do
  # shellcheck disable=SC2086  # words
  kb=$(most_kb ovc ${command%% *} full.ovc ${command#"${command%% *}"})
  echo "ovc $command: $kb kB"
  ((kb < kMostKb)) || fail "ovc $command had $kb kB resident"
  case $command in
    stats) (($(grep -c 'small malloc calls overwritten' out) == 1)) || fail "the log is not full" ;;
    show | *csv*) (($(grep -c 'fills_calls' out) > 15000000)) || fail "ovc $command left records out" ;;
  esac
done
