#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The tarball of `cpack -G TGZ` (minutes, the first time): what is in it; that its two files do their work in roots that hold nothing but
# a program: of nothing, of Debian 11 and 13 (fetched from the mirror that apt uses here), of musl, and in a container that runs already.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/servers.sh"
. "$source_dir/tests/fixtures/box.sh"
. "$source_dir/tests/fixtures/beside.sh"
box_possible
on_exit() { box_end; }

# --- what is in it
mkdir packed unpacked
(cd "$build" && cpack -G TGZ -B "$work/packed") >cpack.out 2>&1 || { cat cpack.out >&3; fail "cpack"; }
version=$(sed -n 's/.*kVersion\[\] = "\(.*\)".*/\1/p' "$source_dir/shim/format/version.h")
name=ovcshim-$version-linux-$(uname -m)
(($(stat -c %s packed/"$name.tar.gz") < 15 * 1024 * 1024)) || fail "15 MB or more: $(ls -l packed)"
tar -C unpacked -xzf packed/"$name.tar.gz"
top=$work/unpacked/$name
for file in ovc libovcshim.so README LICENSE man/{ovc.1,libovcshim.7}.gz completions/{ovc.bash,_ovc,ovc.fish} licences/libc6-dev; do
  [[ -s $top/$file ]] || fail "not in the tarball: $file"
done
! readelf -lW "$top/ovc" | grep -E 'INTERP|NEEDED' || fail "ovc needs a loader"
! readelf -SW "$top/ovc" "$top/libovcshim.so" | grep -E ' \.(debug_info|symtab) ' || fail "debug information in the tarball"
tar -C unpacked -xzf packed/"$name-debug.tar.gz"
for file in ovc libovcshim.so; do
  readelf -SW "$top/$file.debug" | grep -qE ' \.debug_info ' || fail "no debug information of $file"
  same <(readelf -nW "$top/$file" 2>/dev/null | grep 'Build ID') <(readelf -nW "$top/$file.debug" 2>/dev/null | grep 'Build ID') "$file: build ids"
done
ls -l packed
ls -l "$top"

# with_two ROOT: the two files are there, and a folder for the log
with_two() { mkdir -p "$1"/{opt,data,proc} && cp "$top/ovc" "$top/libovcshim.so" "$1/opt/"; }
# inside ROOT [-] CMD...: in it and among its own processes; `-`: /proc is not mounted there
inside() {
  local root=$1 proc=1
  shift
  [[ $1 != - ]] || { proc=0 && shift; }
  # shellcheck disable=SC2016  # the inner shell's
  unshare --mount --pid --fork sh -c 'test "$1" = 0 || mount -t proc proc "$2/proc"
    shift; exec env -i PATH=/bin:/usr/bin "$(command -v chroot)" "$@"' - $proc "$root" "$@"
}
# tells ROOT PROGRAM...: it forks a child that ends with 7; recorded, told and read there
tells() {
  local root=$1
  shift
  exits 0 inside "$root" /opt/ovc run -o /data/fork.ovc -- "$@" >/dev/null 2>told
  finds '^ovc: log: /data/fork.ovc' told
  inside "$root" /opt/ovc forks --json /data/fork.ovc >forks.json
  jq -e 'any(.forks[]; .child.end == "exited, 7")' forks.json >/dev/null || { cat forks.json >&3; fail "forks in $root"; }
  inside "$root" /opt/ovc run --inject 'fork:error=ENOMEM' -o /data/refused.ovc -- "$@" >/dev/null 2>told || true
  finds '^fork refused with ENOMEM' told
  finds 'cause +refused by OVCSHIM_INJECT' told
}

# --- nothing but the program, without /proc as in a plain chroot, too
mkdir nothing
with_two nothing
cc -O1 -o forks "$source_dir/examples/fork_once.c"
copied nothing "$work/forks"
tells nothing "$work/forks"
exits 0 inside nothing - /opt/ovc run -o /data/no_proc.ovc -- "$work/forks" >/dev/null 2>told
finds '^ovc: log: /data/no_proc.ovc' told
exits 0 inside nothing - /opt/ovc why /data/no_proc.ovc >told
inside nothing - /opt/ovc stats /data/no_proc.ovc >told
! grep -E '4294967295|18446744073709551615' told || fail "a number that is none"
exits 2 inside nothing - /opt/ovc check 1 2>told
finds '^ovc: nothing can be read in /proc: is it mounted\?' told
exits 2 inside nothing /opt/ovc check no-such-name 2>told
finds '^ovc: no process is named no-such-name' told

# --- a container that runs already: `docker cp` of two files, then `docker exec`
box_root box
box_start box -- sleep 1000
cp "$top/ovc" "$top/libovcshim.so" box/tmp/
box_exec /tmp/ovc check 1 >told
finds '^a fork of sleep \(pid 1\) would pass now' told
box_exec /tmp/ovc check --stacks 1 >told
finds 'nanosleep' told
exits 7 box_exec /tmp/ovc run -o /tmp/sh.ovc -- sh -c '(exit 7)' 2>told
finds '^ovc: log: /tmp/sh.ovc' told
box_stop

# --- musl
if built musl musl-gcc -O1 -g -Wl,--eh-frame-hdr "$source_dir/examples/fork_once.c" && ./musl >/dev/null; then
  mkdir -p musl_root/lib
  with_two musl_root
  cp musl musl_root/forks
  loader=$(readelf -lW musl | sed -n 's/.*interpreter: \(.*\)]/\1/p')
  cp -L "$loader" "musl_root$loader"
  tells musl_root /forks
  finds 'asked by +main' told
else
  echo "left out: no musl-gcc, or its programs do not run here"
fi

# --- other Debians: their libc, their shell, nothing else
for suite in bullseye trixie; do
  # shellcheck source=tests/fixtures/apt_archive.sh
  if ! (. "$source_dir/tests/fixtures/apt_archive.sh" && apt_root "$work/$suite" "$suite" dash) 2>why; then
    echo "left out: $suite: $(tail -n 1 why)"
    continue
  fi
  with_two "$suite"
  tells "$suite" /bin/dash -c '(exit 7); true'
  inside "$suite" /opt/ovc stats --json /data/fork.ovc >stats.json
  echo "$suite: $(jq -r '[.processes[].inside_libc] | unique | join(", ")' stats.json)"
done
