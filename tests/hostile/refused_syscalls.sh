#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Each system call that the shim makes for itself, refused by a seccomp filter that the program has inherited, as container runtimes
# set them: Podman's and CRI-O's refuses process_vm_readv, old ones of Docker statx. The program is unharmed; what the rest allows is
# recorded, with stacks and names; and where nothing can be recorded the one line says what was refused.
. "$(dirname "$0")/../fixtures/e2e.sh"
export OVCSHIM_EVENTS_SIZE=256K OVCSHIM_CALLS_SIZE=256K

# What each refusal costs. A call that is not here costs nothing: the fork has its caller's name, the refused memory its cause.
#   unrecorded TEXT   nothing is recorded, and the line has TEXT
#   granted           the program itself cannot set its limit, so nothing is refused to it
declare -A costs=(
  [madvise]='unrecorded a seccomp filter refuses madvise'
  [prlimit64]=granted
)

# An answer that looks like the kernel's own: the shim asks rt_sigprocmask with a bad argument what can be read, and EINVAL means all.
declare -A more=([rt_sigprocmask]=EINVAL)

program() { refused_syscalls under "$1" "$2" "${@:3}" sh -c 'refused_syscalls subject; exit 3'; }
judge() { # judge CALL [CAUSE]: what its log says
  ovc forks --json log.ovc >forks.json || (($? == 1))
  jq -e '[.forks[] | select(.asked_by[0] == "save_in_background")] | length == 1' forks.json >/dev/null || fail "$1: the fork's caller has no name: $(jq -c '[.forks[].asked_by]' forks.json)"
  ovc why --json log.ovc >why.json || (($? == 1))
  jq -e --arg cause "${2-}" '[.verdicts[] | select(.asked_by[0] == "load_dataset") | .cause] | unique | join(" ") == $cause' why.json >/dev/null ||
    fail "$1: the cause is $(jq -c '[.verdicts[].cause]' why.json), not ${2-none}"
}

mapfile -t calls < <(grep -ohE '\b(call|is_dead)\(__NR_[a-z0-9_]+' "$source_dir"/shim/*/*.cc "$source_dir"/shim/*/*.h | sed 's/.*__NR_//' | sort -u)
refused_syscalls names | sort >known
for call in "${calls[@]}"; do grep -qx "$call" known || fail "the shim's call $call is not in refused_syscalls.c"; done
lost=()
for call in "${calls[@]}"; do
  for error in EPERM ENOSYS EACCES ${more[$call]-}; do
    plain=0 shim_status=0
    program "$call" "$error" >plain.out 2>plain.err || plain=$?
    ((plain != 77)) || skip "no seccomp filters here"
    rm -f log.ovc shim.err
    program "$call" "$error" env LD_PRELOAD="$shim" OVCSHIM_LOG="$work/log.ovc" >shim.out 2>>shim.err || shim_status=$?
    same plain.out shim.out "$call, $error"
    ((plain == shim_status)) || fail "$call, $error: the program ends with $shim_status, not $plain"
    ((plain == 3)) || { lost+=("$call"); continue; }  # the program itself does not start without it
    case ${costs[$call]-} in
      unrecorded*) finds "${costs[$call]#* }" shim.err ;;
      granted) same plain.err shim.err "$call, $error: messages"; judge "$call, $error" ;;
      *) same plain.err shim.err "$call, $error: messages"; judge "$call, $error" rlimit-as ;;
    esac
  done
done
echo "no program starts without: $(printf '%s\n' "${lost[@]}" | sort -u | xargs)"
