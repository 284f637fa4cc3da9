#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# ovc built with -DOVC_STATIC=ON (minutes): one file that runs where there is nothing else, in a container without any library: it looks at a
# process, walks its stacks, reads a log, and tells of an error (an exception) as ever.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/servers.sh"
. "$source_dir/tests/fixtures/box.sh"
box_possible
on_exit() { box_end; }
folder=$build/static
cmake -S "$source_dir" -B "$folder" -DCMAKE_BUILD_TYPE=Release -DOVC_TESTS=OFF -DOVC_STATIC=ON >configured 2>&1 || fail "$(tail -5 configured)"
cmake --build "$folder" --target ovc -j2 >built 2>&1 || fail "$(tail -5 built)"
! ldd "$folder/ovc" 2>/dev/null | grep '=>' || fail "it needs libraries"

box_root box
box_start box -- env LD_PRELOAD=/opt/libovcshim.so OVCSHIM_LOG=/data/sleep.ovc sleep 1000
mkdir -p bare/{proc,data}
cp "$folder/ovc" bare/ovc
cp box/data/sleep.ovc bare/data/
bare_exec() { nsenter -t "$box_pid" -p unshare --mount sh -c 'mount -t proc proc bare/proc && exec chroot bare /ovc "$@"' - "$@"; }
bare_exec check sleep >check.txt
finds '^a fork of sleep \(pid 1\) would pass now' check.txt
bare_exec check --stacks 1 >stacks.txt
finds 'nanosleep' stacks.txt
bare_exec why /data/sleep.ovc >why.txt
finds 'nobody was killed' why.txt
exits 2 bare_exec check no-such-name 2>error.txt
finds '^ovc: no process is named no-such-name' error.txt
