# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2154  # build, kept, cross, guest, source_dir: aarch64.sh
# What ovc said of itself in the guest: guest/aarch64_ovc.sh. To be sourced by aarch64.sh.
#   ovc_into_guest     the tarball for aarch64 and redis-server lie in the guest's root
#   ovc_judged RESULT  and what came of it

# package_fetched FOLDER PACKAGE: Debian's for aarch64, with what it depends on, in $kept/FOLDER; once
package_fetched() {
  [[ ! -e $kept/$1/done ]] || return 0
  (
    . "$source_dir/tests/fixtures/apt_archive.sh"
    apt_in "$kept/apt.$1" "$(mirror)" "$(. /etc/os-release && echo "$VERSION_CODENAME")" arm64 /dev/null
    apt_unpack "$kept/$1" "$2"
    touch "$kept/$1/done"
  )
}
# package_into_guest FOLDER PACKAGE PROGRAM...: of the package
package_into_guest() {
  local folder=$1 program
  package_fetched "$1" "$2" >"$work/quiet" 2>&1 || skip "$(tail -n 1 "$work/quiet" | sed 's/^skipped: //')"
  shift 2
  mkdir -p "$guest/root/bin"
  for program; do
    cp -L "$kept/$folder/usr/bin/$program" "$guest/root/bin/$program"
    with_libraries "$guest/root/bin/$program" "$kept/$folder"
  done
}

ovc_into_guest() {
  mkdir -p "$work/packed" "$guest/root/opt/ovc"
  (cd "$cross" && cpack -G TGZ -B "$work/packed") >"$work/cpack.out" 2>&1 || { cat "$work/cpack.out" >&3; fail "cpack"; }
  tar -C "$guest/root/opt/ovc" --strip-components=1 -xzf "$work"/packed/ovcshim-*-linux-aarch64.tar.gz
  ls -l "$work/packed"
  cp "$here/guest/aarch64_ovc.sh" "$guest/root/ovc.sh"
  cp "$here/guest/aarch64_attach.sh" "$guest/root/attach.sh"
  package_into_guest redis redis-server redis-server redis-cli redis-benchmark
}

# says NAME STATUS REGEX...: the exit status, and lines of its output or its messages
says() {
  local name=$1 wanted=$2 expression
  shift 2
  [[ $(<"$name.status") == "$wanted" ]] || { cat "$name.out" "$name.err" >&3; fail "ovc $name: exit status $(<"$name.status"), not $wanted"; }
  cat "$name.out" "$name.err" >"$name.said"
  for expression; do finds "$expression" "$name.said"; done
}

# What it refused, with the exact charge: the sum of the server's own list of mappings; nothing is known of its libc here, so names of its
# functions are there in the guest alone.
without_libc() { sed 's/ <- __libc_start_main//g' "$1"; }

redis_judged() {
  says redis_why 1 '^fork refused with ENOMEM' 'asked by +redisFork <- rdbSaveBackground <- bgsaveCommand' '\(BGSAVE\)$' 'cause +commit limit reached' \
    'held by +[0-9,]+ kB mmap <- zmalloc_usable <- ' "charge +$(group_digits "$(<redis.charge)") kB over "
  says redis_check 0 'a fork of redis-server \(pid [0-9]+\) would pass now' "charge +$(group_digits "$(<redis.charge)") kB over " 'save +survives'
  finds "Can't save in background: fork: Cannot allocate memory" redis.log
}
group_digits() { sed -E ':a; s/^([0-9]+)([0-9]{3})/\1,\2/; ta' <<<"$1"; }

ovc_judged() {
  says version 0 '^ovc [0-9.]+ \(log format [0-9]+\)'
  says run 0 '^child ended with status 7' '^ovc: log: /out/run.ovc'
  says injected 1 '^fork refused with ENOMEM' 'OVCSHIM_INJECT' 'asked by +main'
  says show 0 ' fork\(\) = [0-9]+ .*<- main\+0x' 'libc: clone\(CLONE_CHILD_CLEARTID\|CLONE_CHILD_SETTID\|SIGCHLD\)' ' _exit\(7\)'
  says forks 0 'exited, 7;.* main'
  says stats 0 'in libc +system calls that libc makes itself are recorded'
  says maps 0 'fork_once' 'libc\.so\.6'
  says plan 0
  says report 0
  [[ -s report.html ]] || fail "no report"
  says sqlite 0
  says check 0 '\(pid 1\) would pass now'
  says all 0 '^ +1 +'
  # The same log, read there and here.
  says why 1 '^fork refused with ENOMEM' 'cause +commit limit reached'
  ovc why refused.ovc >why.here || true
  without_libc why.out >why.there
  same why.there why.here "the verdict read there and here"
  redis_judged
  attach_judged
}
