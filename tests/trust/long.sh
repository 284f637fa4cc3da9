#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The tests that take hours, and one table of what came of them.
#   long.sh [--quick] [--write] [PART...]   parts: kill fuzz faults soak model builds exports kernels suites attach unwind; all by default, one after the other
#   long.sh --table [--write]               runs nothing: the table of what was run before
# Each part's newest result is kept in the build folder (long/), with its own date and commit, so that parts can be run at different
# times. --quick tries the script, in minutes. --write puts the table between `<!-- long -->` and `<!-- /long -->` in
# tests/trust/README.md, without what was only tried. Exit status 1 if a part has found something; what it printed is in long/PART.log.
# shellcheck disable=SC2317  # run_PART, figures_PART and seconds_PART are called by name
set -euo pipefail
source_dir=$(realpath "$(dirname "$0")/../..")
build=$(realpath -m "${OVC_BUILD:-$source_dir/build}")
export OVC_BUILD=$build OVC_SOURCE=$source_dir
kept=$build/long
parts=(kill fuzz faults soak model builds exports kernels suites attach unwind)

quick=0 write=0 run=1 chosen=()
while (($#)); do
  case $1 in
    --quick) quick=1 ;;
    --write) write=1 ;;
    --table) run=0 ;;
    -h | --help) sed -n '3,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) [[ " ${parts[*]} " == *" $1 "* ]] || { echo "long.sh: no part named $1" >&2; exit 2; }; chosen+=("$1") ;;
  esac
  shift
done
((${#chosen[@]})) || chosen=("${parts[@]}")
[[ -x $build/ovc ]] || { echo "long.sh: nothing is built in $build" >&2; exit 2; }
mkdir -p "$kept"

choose() { if ((quick)); then echo "$1"; else echo "$2"; fi; }
grouped() { sed -E ':a; s/([0-9])([0-9]{3})($|[^0-9])/\1,\2\3/; ta'; }

# What each part runs, and how its figures are had from what that prints: one line, `FINDINGS figures`.
run_kill() { "$source_dir/tests/trust/kill.sh" --kills "$(choose 50 10000)"; }
figures_kill() {
  sed -nE 's/^([0-9]+) kills .*, ([0-9]+) processes: ([0-9]+) calls and ([0-9]+) events .*/0 \1 kills, \2 processes, \3 calls and \4 events as journalled/p' "$1" | tail -1
}

# In slices that are counted in the build folder: ended early, it goes on at the next time. The table counts all, a trial only itself.
run_fuzz() {
  local how=()
  ((quick)) || how=(--resume)
  "$source_dir/tests/fuzz/run.sh" --executions "$(choose 100000 100000000)" "${how[@]}" --jobs 2
}
figures_fuzz() {
  awk '$1 == "harness" { counted = 1; next } $1 == "total" { print $5, $2 " executions of " harnesses " harnesses"; exit } counted { ++harnesses }' "$1"
}
# Of all slices, also of those before; each ran on one processor.
seconds_fuzz() { awk '$1 == "total" { printf "%d\n", $3 }' "$1"; }

run_faults() { if ((quick)); then "$source_dir/tests/trust/faults.sh"; else "$source_dir/tests/trust/faults.sh" --times 5; fi; }
figures_faults() {
  sed -nE 's/^.*: [0-9]+ calls of the shim at [0-9]+ places; [0-9]+ faults, ([0-9]+) of them happened; ([0-9]+) complaints$/\1 \2/p' "$1" |
    awk '{ faults += $1; complaints += $2; ++runs } END { if (runs) print complaints, faults " faults" }'
}

run_soak() { "$source_dir/tests/trust/soak.sh" --minutes "$(choose 1 60)" --keep "$kept/soak.json"; }
figures_soak() {
  awk '{ value = substr($0, 41) }
    /^seconds / { minutes = value / 60 } /^saves asked for/ { saves = value } /^refused by the kernel/ { refused = value + 0 }
    /^verdicts right/ { wrong = value; sub(".*/ *", "", wrong) } /^wraps of/ { split(value, wraps, " / ") } /^calls counted/ { calls = value }
    /^private memory of follow/ { follow = value } /^findings/ { findings = value }
    END { if (findings != "") printf "%d %.0f minutes, %d saves, %d refused, %d wrong verdicts, %s wraps of the call lane, %s calls\n",
            findings, minutes, saves, refused, wrong, wraps[1], calls }' "$1"
}

run_model() {
  "$build/model_check" --preemptions 2 --executions "$(choose 2000 250000)" &&
    "$build/model_check" --late --preemptions 2 --executions "$(choose 50 2000)" &&
    "$build/model_check" --self-test --executions 60000
}
figures_model() { sed -nE 's/^([0-9]+) orders, ([0-9]+) steps; .*/0 \1 orders, \2 steps/p' "$1" | head -1; }

run_builds() {
  local script=$source_dir/tests/trust/builds.sh
  [[ -x $script ]] || { echo "skipped: there is no builds.sh"; return 77; }
  if ((quick)); then "$script"; else "$script" --all && "$source_dir/tests/trust/tarball.sh"; fi
}
figures_builds() { awk '/: builds and records/ { ++n } END { print 0, (n ? n " compilers and sets of flags; " : "") "two folders, the same bytes" }' "$1"; }

run_exports() { "$source_dir/tests/e2e/export_damaged.sh" "$(choose 3 500)"; }
figures_exports() { sed -nE 's/^([0-9]+) exports of damaged logs, ([0-9]+) refused$/0 \1 exports of damaged logs, \2 more refused by name/p' "$1"; }

run_kernels() {
  local how=()
  ((!quick)) || how=(--machine smallest bookworm)
  "$source_dir/tests/kernels/run.sh" "${how[@]}"
  ((quick)) || "$source_dir/tests/kernels/aarch64.sh" --tests --ovc
}
# Of the lines `  PART: status N, SECONDS s, RIGHT UNKNOWN WRONG`
figures_kernels() {
  awk '/^[a-z].*control groups/ { ++boots } /^  [a-z]+: status [0-9]+,.* s, [0-9]+ [0-9]+ [0-9]+$/ { right += $(NF - 2); unknown += $(NF - 1); wrong += $NF }
    END { if (boots) print wrong + 0, boots " machines, " right " right, " unknown " unknown" }' "$1"
}

run_suites() { if ((quick)); then "$source_dir/tests/trust/suites.sh" --quick; else "$source_dir/tests/trust/suites.sh"; fi; }
figures_suites() {
  awk -F'[:, ]+' '/: [0-9]+ tests, [0-9]+ differ$/ { findings += $4; list = list (list ? ", " : "") $2 " of " $1 }
    END { if (list) print findings, "tests: " list }' "$1"
}

# A thousand rounds under load, then killed or refused at every call of ptrace.
run_attach() {
  OVC_ATTACH_ROUNDS=$(choose 20 1000) "$source_dir/tests/e2e/attach.sh" &&
    OVC_ATTACH_MALLOC=1 OVC_ATTACH_ROUNDS=$(choose 20 1000) "$source_dir/tests/e2e/attach.sh" &&
    OVC_ATTACH_STRIDE=$(choose 23 1) "$source_dir/tests/e2e/attach_killed.sh"
}
figures_attach() {
  awk '/ rounds under load; / { rounds += $1; sub(/.*stood still for /, ""); stops = stops (stops ? " and " : "") $0 } / calls tried$/ { tried = $1 }
    END { if (tried) printf "0 %d rounds under load (%s), killed or refused at %d calls\n", rounds, stops, tried }' "$1"
}

run_unwind() {
  "$source_dir/tests/trust/unwind.sh" --states "$(choose 300 20000)" --seed "$RANDOM" || return
  ((quick)) || "$source_dir/tests/kernels/aarch64.sh" --unwind --states 1500 || (($? == 77))
}
figures_unwind() {
  awk '/ states, [0-9]+ frames, / { states += $2; frames += $4; sub(/.* of signals: /, ""); same += $1; earlier += $4 }
    END { if (states) printf "0 %d states, %d frames: %d the same, the shim earlier in %d\n", states, frames, same, earlier }' "$1"
}

commit() {
  local id
  id=$(git -C "$source_dir" rev-parse --short HEAD 2>/dev/null) || { echo "no commit"; return; }
  [[ -z $(git -C "$source_dir" status --porcelain -- . ':!tests/trust/README.md' 2>/dev/null) ]] || id+=" and changes"
  echo "$id"
}

# A row is a line of fields: part, date, commit, seconds, findings, quick, figures.
failed=0
run_part() {
  local part=$1 log=$kept/$1.log begun=$SECONDS status=0 findings figures date id took
  date=$(date +%F) id=$(commit)
  echo "==== $part"
  ("run_$part") >"$log" 2>&1 </dev/null || status=$?
  if ((status == 77)); then
    tail -n 1 "$log"
    return
  fi
  findings=0 figures=
  read -r findings figures <<<"$("figures_$part" "$log")" || true
  if ((status != 0)) || [[ -z $figures ]]; then
    failed=1
    tail -n 20 "$log"
    ((${findings:-0})) || findings=1
    figures="${figures:+$figures; }ended with status $status"
  fi
  took=$((SECONDS - begun))
  ! declare -F "seconds_$part" >/dev/null || took=$("seconds_$part" "$log")
  printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$part" "$date" "$id" "${took:-0}" "$findings" $quick "$(grouped <<<"$figures")" >"$kept/$part.row"
  echo "$(grouped <<<"$figures"); findings: $findings; ${took:-0} s"
}

duration() { if (($1 < 600)); then echo "$1 s"; elif (($1 < 7200)); then echo "$(($1 / 60)) minutes"; else echo "$((($1 + 1800) / 3600)) hours"; fi; }

# table [LEAVE]: rows in the order of the parts; LEAVE = 1 leaves out those that were only tried
table() {
  local part date id seconds findings tried figures
  echo "Linux $(uname -r), $(nproc) processors, $(awk '$1 == "MemTotal:" { printf "%.0f", $2 / 1048576 }' /proc/meminfo) GiB of memory; \`tests/trust/long.sh\`:"
  echo
  echo "| part | figures | findings | took | on | commit |"
  echo "| --- | --- | --- | --- | --- | --- |"
  for part in "${parts[@]}"; do
    [[ -e $kept/$part.row ]] || continue
    IFS=$'\t' read -r part date id seconds findings tried figures <"$kept/$part.row"
    ((!tried)) || ((!${1:-0})) || continue
    ((!tried)) || figures+=" (only tried)"
    echo "| $part | $figures | $findings | $(duration "$seconds") | $date | $id |"
  done
}

write_readme() {
  local readme=$source_dir/tests/trust/README.md
  if ! grep -q '^<!-- long -->$' "$readme" || ! grep -q '^<!-- /long -->$' "$readme"; then
    echo "long.sh: $readme has no <!-- long --> and <!-- /long -->" >&2
    exit 2
  fi
  table 1 >"$kept/table"
  awk -v file="$kept/table" '
    $0 == "<!-- long -->" { print; while ((getline line < file) > 0) print line; skip = 1; next }
    $0 == "<!-- /long -->" { skip = 0 }
    !skip { print }' "$readme" >"$kept/README.md"
  cat "$kept/README.md" >"$readme"
}

if ((run)); then for part in "${chosen[@]}"; do run_part "$part"; done; fi
table
if ((write)); then write_readme; fi
exit $failed
