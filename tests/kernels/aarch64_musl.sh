# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2154  # kept, cross, guest, source_dir, work: aarch64.sh
# Programs of musl (Alpine's) on aarch64, in one tree with one of glibc; recorded in the guest (guest/aarch64_init). To be sourced by aarch64.sh.
#   musl_into_guest    musl's loader, and tests/hostile/{musl,allocations}.c and examples/fork_doubles.c built with it, lie in the guest's root
#   musl_judged        and what came of them

# Debian's musl for aarch64, and how the cross compiler uses it; fetched once.
musl_fetched() {
  [[ ! -e $kept/musl/specs ]] || return 0
  (
    . "$source_dir/tests/fixtures/apt_archive.sh"
    apt_in "$kept/apt.musl" "$(mirror)" "$(. /etc/os-release && echo "$VERSION_CODENAME")" arm64 /dev/null
    cd "$kept/apt.musl" || exit
    apt-get -q download musl musl-dev >>log 2>&1 || skip "musl cannot be fetched: $(grep -m1 '^E:' log)"
    for file in ./*.deb; do dpkg-deb --extract "$file" "$kept/musl"; done
    rm -rf "$kept/apt.musl"
    ln -sf ../../../lib/aarch64-linux-musl/libc.so "$kept/musl/usr/lib/aarch64-linux-musl/libc.so"  # where the linker looks
    sed "s# /usr/# $kept/musl/usr/#g; s#-L/usr/#-L$kept/musl/usr/#g" "$kept"/musl/usr/lib/aarch64-linux-musl/musl-gcc.specs >"$kept/musl/specs"
  )
}

musl_into_guest() {
  local source name
  musl_fetched >"$work/quiet" 2>&1 || skip "$(tail -n 1 "$work/quiet" | sed 's/^skipped: //')"
  mkdir -p "$guest/root$cross/musl" "$cross/musl"
  for source in tests/hostile/musl tests/hostile/allocations examples/fork_doubles; do
    name=${source##*/}
    # As Alpine's compiler does by itself: the header of the frame table.
    "$kept/toolchain/bin/aarch64-linux-gnu-gcc" -specs="$kept/musl/specs" -O1 -g -Wl,--eh-frame-hdr -Wl,--build-id -o "$cross/musl/$name" \
      "$source_dir/$source.c" >"$work/quiet" 2>&1 || { cat "$work/quiet" >&3; fail "a program for musl"; }
    cp "$cross/musl/$name" "$guest/root$cross/musl"
  done
  cp -L "$kept/musl/lib/ld-musl-aarch64.so.1" "$guest/root/lib"
}

musl_judged() {
  local name
  for name in musl allocations; do
    [[ -s $name.alone ]] || fail "musl: $name did not run"
    same "$name.alone" "$name.with" "what $name of musl prints"
  done
  ovc stats --json musl.ovc >stats.json
  # of OP WHAT: of all processes of that program
  of() { jq "[.processes[] | select(.comm == \"musl\") | .totals.calls.$1.$2 // 0] | add" stats.json; }
  equal() { (($(of "$1" "$2") == $3)) || fail "musl: $1 $2: $(of "$1" "$2"), not $3"; }
  # As tests/hostile/musl.sh counts them.
  equal malloc calls $((40 * 100 + 20 * 100 + 1 + 100))
  equal malloc failed 1
  equal free calls $((40 * 100 + 20 * 100 + 100))
  equal pthread_create calls 40
  equal fork calls 21
  equal vfork calls 2
  equal posix_spawn calls 2
  jq -e '[.processes[] | select(.comm == "allocations" and .totals.calls.popen)] | length == 2' stats.json >/dev/null || fail "children that are musl's"
  jq -e '[.processes[] | select(.comm == "fork_once" and .totals.calls.fork)] | length >= 2' stats.json >/dev/null || fail "children that are glibc's"
  finds 'in libc +system calls that libc makes itself are not recorded: this libc is musl' <(ovc stats musl.ovc)
  exits 1 ovc why musl.ovc >musl_told
  finds '^mmap of 1,073,741,824 bytes refused with ENOMEM' musl_told
  finds 'cause +address space limit reached \(RLIMIT_AS\)' musl_told
  finds 'cause +larger than the address space of a process' musl_told
  finds 'asked by +main' musl_told
  refused_by_8_mib musl_refused.ovc 'main( <- |$)'
}
