#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A forked child's start as the log has it is what /proc/PID/stat says, whether the shim read that file or knew it by the clock; so
# is its parent. Many children, since the clock's tick tells it of most but not of all.
. "$(dirname "$0")/../fixtures/e2e.sh"

cat >children.py <<'END'
import os, struct, sys

def own_stat():
    return open("/proc/self/stat").read().rsplit(")", 1)[1].split()

wanted = {}
for _ in range(60):
    get, put = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(put, own_stat()[19].encode())
        os._exit(0)
    os.close(put)
    wanted[child] = int(os.read(get, 64))
    os.close(get)
    os.waitpid(child, 0)
head = open(sys.argv[1], "rb").read(1 << 20)
slots, size, pid_at = 0x3000, 512, 8
found = 0
for at in range(slots, slots + 1024 * size, size):
    pid, parent, start = struct.unpack_from("<IIQ", head, at + pid_at)
    if pid in wanted:
        found += 1
        if (start, parent) != (wanted[pid], os.getpid()):
            print(f"{pid}: start {start} of parent {parent} in the log, {wanted[pid]} of {os.getpid()} in /proc")
print(found)
END
under "$work/starts.ovc" python3 children.py "$work/starts.ovc" >said
[[ $(<said) == 60 ]] || { cat said >&3; fail "children's starts"; }
