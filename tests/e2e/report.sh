#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `ovc report`: the page of a redis-server whose BGSAVE was refused says what `ovc why` says; hostile names stay text; whatever
# a log holds, the page is whole, asks nothing of anybody, and is of bounded size.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/redis.sh"
. "$source_dir/tests/fixtures/report_logs.sh"
on_exit() { redis_stop; }
page() { python3 "$source_dir/tests/fixtures/report_page.py" "$@" || fail "the page is not as it should be: $1"; }
charts() { sed -n 's,.*<script type="application/json" id="data">\(.*\)</script>$,\1,p' "$1"; }

log_of_redis redis.ovc
exits 1 ovc report redis.ovc -o redis.html >out 2>err
[[ ! -s out && ! -s err ]] || fail "it talks"
exits 1 ovc why --json redis.ovc >why.json
exits 1 ovc why redis.ovc >why.txt
mapfile -t words < <(sed -nE 's/^  (cause|charge|headroom|short by) +//p' why.txt | tr -s ' ')
((${#words[@]} == 4)) || fail "ovc why does not say four things: ${words[*]}"
page redis.html "${words[@]}" "fork refused with ENOMEM" BGSAVE "exited, 0" "static binaries"
charts redis.html >data.json
# The same figures in the charts: the refusal, the fork granted before it, who mapped what, and the limit rehearsed.
[[ $(jq '.verdicts[0] | [.committed, .asked]' data.json) == "$(jq '.verdicts[0].mode2 | [.committed_as_kb, .request_kb]' why.json)" ]] || fail "the refusal: $(jq -c .verdicts data.json)"
[[ $(jq .rehearsed_limit data.json) == "$(jq .verdicts[0].mode2.commit_limit_kb why.json)" ]] || fail "the limit"
[[ $(jq -r '[.forks[] | .errno] | join(" ")' data.json) == " ENOMEM" ]] || fail "forks: $(jq -c .forks data.json)"
[[ $(jq -r '.spaces[0].refused_at' data.json) == "$(jq -r '.verdicts[0].charge.refused_at.start[2:]' why.json)" ]] || fail "the mapping refused"
jq -e '.spaces[0] | .exact and .asked == ([.rows[].fork] | add)' data.json >out || fail "the parts of the charge are not the charge"
jq -e '.stacks[2] == ([.spaces[].rows[].low] | add)' data.json >out || fail "the stacks' charge is not that of the mappings"
jq -e '.readings.count > 20 and (.readings.points | length) > 5' data.json >out || fail "no readings"
# The time axis goes forward, and no reading lies outside it.
jq -e '.span as $span | .readings.points | . == sort_by(.[0]) and all(.[]; .[0] >= 0 and .[0] <= $span)' data.json >out || fail "the axis"
[[ $(jq -r '.lives | map([.depth, .fate] | join(" ")) | join("; ")' data.json) == "0 exited, 0; 1 exited, 0" ]] || fail "lives: $(jq -c .lives data.json)"

# Same log, same bytes; to a pipe too; readable for the owner only; an older page is replaced whole.
umask 022
head -c 3000000 /dev/zero >redis2.html
chmod 600 redis2.html
exits 1 ovc report redis.ovc -o redis2.html
same redis.html redis2.html
exits 1 ovc report redis.ovc >redis3.html
same redis.html redis3.html
[[ $(stat -c %a redis.html) == 600 ]] || fail "others may read the page"
(set +o pipefail; ovc report redis.ovc 2>err | true)
[[ ! -s err ]] || fail "complains of a closed pipe"
exits 2 ovc report redis.ovc -o no/such/folder.html 2>err
finds '^ovc: cannot write no/such/folder.html: ' err
cp --sparse=always redis.ovc itself.ovc
exits 2 ovc report itself.ovc -o itself.ovc 2>err
finds 'is the log itself' err
cmp redis.ovc itself.ovc || fail "the log was overwritten"
for bad in /dev/null no-such.ovc redis.html; do
  exits 2 ovc report "$bad" -o none.html 2>err
  [[ ! -e none.html && $(wc -l <err) == 1 ]] || fail "$bad"
done

log_of_hostile_names hostile.ovc
mv hostile.ovc $'"><b onclick=x>.ovc'
exits 0 ovc report $'"><b onclick=x>.ovc' -o hostile.html
page hostile.html $'"><b onclick=x>.ovc' $'</script><img src=x onerror=alert(1)>\\x1b[1m\\xe2\\x80\\xae\\xff"\'&{{data}}&lt;'

# Logs of which little is left.
under "$work/true.ovc" true
exits 0 ovc report true.ovc -o true.html
page true.html "nothing was refused and nobody was killed"
truncate -s 70000 true.ovc
status=0
ovc report true.ovc -o cut.html 2>err || status=$?
((status == 2)) || page cut.html
OVCSHIM_EVENTS_SIZE=1M exits 1 under flood.ovc sh -c 'floods 200000; exit 1'
exits 1 ovc report flood.ovc -o flood.html
page flood.html "address space limit reached (RLIMIT_AS)" "records of granted memory calls overwritten by newer ones"
(($(stat -c %s flood.html) < 3000000)) || fail "$(stat -c %s flood.html) bytes"
