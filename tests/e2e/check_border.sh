#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Predictions of `ovc check` and `ovc plan` held against real forks on both sides of the border they name. In mode 2 the limit
# is put a margin to either side; the kernel may be off by its counter's error (RAM/256), so beyond that every prediction
# must come true, and for smaller margins it is counted how many did. A round in which others moved Committed_AS by more
# than half the margin tells nothing and is repeated.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/forker.sh"
on_exit() { forker_stop; }
heap_kb=3145728  # its fork is charged that much: as much stays free for the rest of the machine at the border
rounds=${OVC_BORDER_ROUNDS:-12}

if [[ ${1-} != --inside ]]; then
  status=0
  overcommit.sh 0 -- "$source_dir/tests/e2e/check_border.sh" --inside || status=$?
  exit $status
fi

# round_at MARGIN: sets the limit so that by `ovc check` a fork has MARGIN kB to spare (negative: is short), then forks.
# Counts in right or wrong, or not at all if the machine was not quiet.
round_at() {
  local margin_kb=$1 short_kb spare_kb before_kb moved_kb verdict real expected
  short_kb=$(checked .mode2.short_kb)
  overcommit.sh 2 $(($(meminfo CommitLimit) + short_kb + margin_kb))K
  before_kb=$(meminfo Committed_AS)
  spare_kb=$((-$(checked .mode2.short_kb)))
  verdict=$(jq -r '.processes[0].verdict' check.json)
  real=$(tell fork)
  tell nothing >/dev/null
  moved_kb=$(($(meminfo Committed_AS) - before_kb))
  moved_kb=${moved_kb#-}
  # What it says follows from its own figures.
  if ((${spare_kb#-} <= band_kb + 4)); then expected=borderline; else expected=$( ((spare_kb > 0)) && echo pass || echo fail); fi
  [[ $verdict == "$expected" ]] || ((${spare_kb#-} > band_kb - 4)) || fail "$spare_kb kB to spare: verdict $verdict"
  # Does it come true?
  ((moved_kb * 2 <= ${margin_kb#-} && (spare_kb >= 0) == (margin_kb > 0))) || return 0
  if [[ $real == $( ((spare_kb >= 0)) && echo passed || echo "refused ENOMEM") ]]; then
    right=$((right + 1))
  else
    wrong=$((wrong + 1))
    ((${spare_kb#-} <= band_kb + moved_kb)) || fail "$spare_kb kB to spare, others moved $moved_kb kB: $real"
  fi
}

forker_start "ac=$heap_kb"
overcommit.sh 2 +4G
band_kb=$(checked .mode2.counter_error_kb)
told=0
for margin_kb in $((band_kb + 8192)) $((band_kb / 4)) 8192 2048 512; do
  for sign in "" -; do
    right=0 wrong=0
    for ((try = 0; try < 4 * rounds && right + wrong < rounds; try++)); do round_at "$sign$margin_kb"; done
    echo "mode 2, $sign$margin_kb kB from the border: $right right, $wrong wrong"
    ((margin_kb < band_kb)) || told=$((told + right))
  done
done
((told > 0)) || skip "the machine was never quiet enough"

# What plan names as smallest: with the error covered it passes, the same distance on the other side it does not.
plan_says() {
  ovc plan "$forker_pid" --json >plan.json || (($? == 1)) || fail "ovc plan"
  jq -r "$1" plan.json
}
for try in {1..20}; do
  overcommit.sh 2 +4G
  before_kb=$(meminfo Committed_AS)
  surely_kb=$(plan_says .smallest_surely.overcommit_kbytes)
  smallest_kb=$(jq -r .smallest.overcommit_kbytes plan.json)
  echo $((surely_kb + 4096)) >/proc/sys/vm/overcommit_kbytes
  above=$(tell fork)
  tell nothing >/dev/null
  echo $((smallest_kb - (surely_kb - smallest_kb) - 4096)) >/proc/sys/vm/overcommit_kbytes
  below=$(tell fork)
  tell nothing >/dev/null
  moved_kb=$(($(meminfo Committed_AS) - before_kb))
  ((${moved_kb#-} > 4096)) || break
  ((try < 20)) || skip "the machine was never quiet enough for plan"
done
[[ $above == passed && $below == "refused ENOMEM" ]] || fail "smallest overcommit_kbytes: above $above, below $below"
echo "plan: overcommit_kbytes $surely_kb passed, $((2 * smallest_kb - surely_kb)) refused"

for try in {1..20}; do
  overcommit.sh 2 +4G
  before_kb=$(meminfo Committed_AS)
  ratio=$(plan_says .smallest_surely.overcommit_ratio)
  least=$(jq -r .smallest.overcommit_ratio plan.json)
  base_kb=$(($(meminfo MemTotal) / 100))
  echo "$ratio" >/proc/sys/vm/overcommit_ratio
  above=$(tell fork)
  tell nothing >/dev/null
  echo $((least - 1 - (band_kb + base_kb - 1) / base_kb)) >/proc/sys/vm/overcommit_ratio
  below=$(tell fork)
  tell nothing >/dev/null
  moved_kb=$(($(meminfo Committed_AS) - before_kb))
  ((${moved_kb#-} > 4096)) || break
  ((try < 20)) || skip "the machine was never quiet enough for plan"
done
[[ $above == passed && $below == "refused ENOMEM" ]] || fail "smallest overcommit_ratio: above $above, below $below"
echo "plan: overcommit_ratio $ratio passed, $((least - 1 - (band_kb + base_kb - 1) / base_kb)) refused"

# Growth to plan's border: what is left of it after the error passes, what is beyond it and the error does not.
for try in {1..20}; do
  overcommit.sh 2 +4608M
  before_kb=$(meminfo Committed_AS)
  growth_kb=$(plan_says .may_grow_kb)
  ((growth_kb > band_kb + 8192)) || fail "may grow $growth_kb kB only"
  first_kb=$((growth_kb - band_kb / 2 - 4096))
  [[ $(tell "grow $first_kb") == grown ]] || fail "growth by $first_kb kB"
  above=$(tell fork)
  tell nothing >/dev/null
  [[ $(tell "grow $((band_kb + 8192))") == grown ]] || fail "growth beyond"
  below=$(tell fork)
  tell nothing >/dev/null
  moved_kb=$(($(meminfo Committed_AS) - before_kb - first_kb - band_kb - 8192))
  forker_stop
  ((${moved_kb#-} > 4096)) || break
  ((try < 20)) || skip "the machine was never quiet enough for plan"
  forker_start "ac=$heap_kb"
done
[[ $above == passed && $below == "refused ENOMEM" ]] || fail "growth by $growth_kb kB: before $above, beyond $below"
echo "plan: growth by $growth_kb kB: $first_kb kB passed, $((first_kb + band_kb + 8192)) kB refused"

# Mode 0: one mapping of RAM + swap passes, one page more does not. Mode 1 lets it be made.
ram_and_swap_kb=$(($(meminfo MemTotal) + $(meminfo SwapTotal)))
for more_kb in 0 4; do
  overcommit.sh 1
  forker_start "ac=$((ram_and_swap_kb + more_kb))"
  overcommit.sh 0
  verdict=$(checked .verdict)
  grows_kb=$(plan_says .largest_mapping_may_grow_kb)
  real=$(tell fork)
  forker_stop
  ((grows_kb == -more_kb)) || fail "mode 0: the mapping may grow by $grows_kb kB"
  [[ "$verdict $real" == $( ((more_kb)) && echo "fail refused ENOMEM" || echo "pass passed") ]] || fail "mode 0, $more_kb kB over: $verdict, $real"
  echo "mode 0, one mapping $more_kb kB over RAM + swap: $verdict, $real"
done
