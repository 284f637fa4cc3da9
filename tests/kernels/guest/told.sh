# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# What `ovc why` says of a call that was refused for a cause that was set, for the scripts of tests/kernels/guest. To be sourced after
# e2e.sh; `only` is a word of the names that are to be run.
((EUID == 0 && $$ != 1)) || skip "only root can set limits of the machine"
[[ $(</proc/cmdline) == *ovc.guest=* ]] || skip "not a machine of our own"
only=${only-} right=0 unknown=0 wrong=0

# told NAME CAUSE [SHORT_BY] -- STEP...: what `ovc why` says of the call at the end of the steps
told() {
  local name=$1 cause=$2 short=${3/#--/} found status=0
  while [[ $1 != -- ]]; do shift; done
  shift
  [[ $name == *"$only"* ]] || return 0
  rm -f log.ovc
  under log.ovc refused "$@" >refused.out 2>refused.err || status=$?
  restore
  if ((status != 0)); then
    echo "WRONG $name: the situation could not be made: status $status $(<refused.err)"
    wrong=$((wrong + 1))
    return 0
  fi
  ovc why --json log.ovc >why.json || (($? == 1)) || true
  found=$(jq -r '[.verdicts[] | select(.caller_coped | not)] | last | "\(.cause) \(.short_by)"' why.json) || found="no verdict"
  if [[ $found == "$cause "* && (-z $short || $found == "$cause $short") ]]; then
    right=$((right + 1))
  else
    case $found in unknown*) unknown=$((unknown + 1)) ;; *) wrong=$((wrong + 1)) ;; esac
    echo "$name: told as $found, set: $cause $short"
    ovc why log.ovc | head -n 25 || true
  fi
}
# restore: the machine's own settings again, by the shell alone: there may be no room for a process
declare -A kept=()
keep() { kept[$1]=$(<"$1"); }
restore() {
  local path
  for path in "${!kept[@]}"; do echo "${kept[$path]}" >"$path" || echo "cannot restore $path"; done
}
# figures: the last line of a script, and its status
figures() {
  echo "figures $right $unknown $wrong"
  ((wrong + unknown == 0))
}
