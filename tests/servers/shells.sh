#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shells and make: a bash script with thousands of forks, pipelines, background jobs and traps; the same in sh; make -j with $(shell)
# and recipes. Output and exit status are those without the shim, what it took is shown; every fork is counted, and those whose
# records are left have a purpose. Where nobody can be born, bash, sh and make say the same as without, and why is told.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/servers.sh"

cat >many.sh <<'END'
n=0
for i in {1..500}; do
  x=$(echo $i)
  (exit $((i % 7))) || n=$((n + 1))
done
echo $n $x
for i in {1..200}; do /bin/true; y=$(/bin/echo $i | cat); done
echo $y
for i in {1..50}; do (exit $i) & jobs+=($!); done
for job in ${jobs[@]}; do wait $job; s=$((s + $?)); done
echo $s
trap 'echo child >&2' CHLD
diff <(seq 10) <(seq 9; echo 11)
echo $?
coproc cat
echo through >&${COPROC[1]}
read -r line <&${COPROC[0]}
eval "exec ${COPROC[1]}>&-"
wait
echo $line ${PIPESTATUS[@]}
seq 1000 | sort -rn | head -3 | while read -r l; do echo "($l)"; done
set -o pipefail
false | true
echo $?
kill -TERM $$
END
cat >plain.sh <<'END'
i=0
while [ $i -lt 300 ]; do x=$(echo $i; exit 3); i=$((i + 1)); (exit 4); s=$?; done
echo $x $s
/bin/echo a b c | tr ' ' '\n' | sort -r | cat
/bin/sleep 0.01 & /bin/false & wait $!
echo $?
sh -c 'kill -9 $$'
echo $?
END
cat >Makefile <<'END'
names := $(shell seq 40)
all: $(names:%=made.%) fails
	@cat made.* | sort -n | tail -1
made.%:
	@echo $* > $@; /bin/true
	@/bin/echo $* >> $@
fails:
	-@exit 3
.PHONY: all fails
END
# timed NAME CMD...: NAME.out, NAME.err, NAME.status, NAME.ms
timed() {
  local name=$1 began status=0
  shift
  began=$(date +%s%N)
  (exec "$@") >"$name.out" 2>"$name.err" </dev/null || status=$?
  echo "$status" >"$name.status"
  echo $((($(date +%s%N) - began) / 1000000)) >"$name.ms"
}
# runs NAME CMD...: without the shim, with it, and with it but for the calls inside libc; the logs are NAME.1.ovc and NAME.0.ovc
runs() {
  local name=$1 internals file
  shift
  timed "$name" "$@"
  for internals in 1 0; do
    rm -f made.*
    timed "$name.$internals" env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/$name.$internals.ovc" OVCSHIM_LIBC_INTERNALS=$internals "$@"
    for file in out err status; do same "$name.$file" "$name.$internals.$file" "$name: $file"; done
  done
  echo "$name: $(<"$name.ms") ms without, $(<"$name.1.ms") ms with the shim, $(<"$name.0.ms") ms without libc's inner calls"
}
# told LOG PURPOSE...: these and no others
told() {
  local log=$1
  shift
  forks_told "$log" | cut -d' ' -f2- | sort >told
  same told <(printf '%s\n' "$@") "purposes of $log"
}

runs bash bash many.sh
runs sh sh plain.sh
runs make make --no-print-directory -j4
finds '^143$' bash.status
finds '^137$' sh.out
# Counted by somebody else.
command -v strace >/dev/null || skip "strace is not installed: forks were not counted"
traced() {
  strace -f -qq -e trace=fork,vfork,clone,clone3 -e signal=none -o traced bash many.sh >/dev/null 2>&1 || true
  forks=$(grep -cE '= [0-9]+$' traced)
}
traced
for internals in 1 0; do
  # More forks than there is room for: all are counted, and the newest are there. That the script ends by its own SIGTERM is no finding.
  exits 0 ovc why --json bash.$internals.ovc >verdict
  [[ $(jq '.verdicts | length' verdict) == 0 ]] || fail "refused: $(<verdict)"
  counted=$(jq '[.forks_passed[].count, .other_forks_passed] | add' verdict)
  ((counted == forks)) || traced  # strace had 3 of 1861 too few once, on a busy machine
  ((counted == forks)) || fail "$counted forks, $forks by strace: $(grep -vE '= [0-9]+$' traced)"
  forks_json bash.$internals.ovc
  (($(jq '.forks | length' bash.$internals.ovc.forks) > 200)) || fail "too few are left"
  same <(jq -r '.forks[].purpose // "?"' bash.$internals.ovc.forks | sort -u) - <<<$'command substitution\nprocess substitution\nshell command'
  told sh.$internals.ovc "shell command"
  told make.$internals.ovc "\$(shell ...) in a makefile" "recipe line" "shell command"
done

# Nobody can be born: the first child of the outer shell becomes the init of a pid namespace and ends.
unshare --pid true 2>/dev/null || skip "no pid namespaces here: refusals were not tried"
# shellcheck disable=SC2016  # for the inner shells
refused=("bash -c 'x=\$(echo a) || echo no; (echo b) && echo yes; echo \$x \$?'" "sh -c 'x=\$(echo a) || echo no; echo \$x'"
  "sh -c '/bin/echo a; echo \$?'" "make -s made.1")
rm -f made.*
for command in "${refused[@]}"; do
  dead=(timeout 60 unshare --pid bash -c "true & wait; exec $command")
  timed dead "${dead[@]}"
  [[ -s dead.err ]] || fail "not refused: $command"
  for internals in 1 0; do
    rm -f dead.ovc
    timed dead.shim env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/dead.ovc" OVCSHIM_LIBC_INTERNALS=$internals "${dead[@]}"
    for file in out err status; do same dead.$file dead.shim.$file "$command: $file"; done
    exits 1 ovc why --json dead.ovc >verdict
    [[ $(jq -r '[.verdicts[].cause] | unique | join(" ")' verdict) == pidns-init-dead ]] || fail "$command: $(<verdict)"
    [[ $(jq '[.verdicts[] | select(.purpose == null)] | length' verdict) == 0 ]] || fail "$command: asked for by whom"
  done
done
nobody_left
