#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A call is told of the program that made it, also when the process has since become another one (every entry point that ends in exec).
. "$(dirname "$0")/../fixtures/e2e.sh"

cat >entry <<'E'
#!/bin/bash
x=$(true)
y=$(true)
exec sleep 0
E
chmod 755 entry

exits 0 under passed.ovc ./entry
ovc why passed.ovc >got || (($? == 1))
finds '^2 forks passed in entry \(pid [0-9]+\)' got

# Refused in the first program, a fork and a mapping, and the process ends as another one.
cat >program.py <<'PY'
import mmap, os
try: os.fork()
except OSError: pass
try: mmap.mmap(-1, 100 << 30)
except OSError: pass
os.execvp("sleep", ["sleep", "0"])
PY
python=$(python3 -c 'import sys; print(sys.executable)')
exits 0 under refused.ovc env OVCSHIM_INJECT='fork:error=ENOMEM:when=1' "$python" program.py
ovc why refused.ovc >got || (($? == 1))
finds "^fork refused with ENOMEM at .* in python[0-9.]* \\(pid [0-9]+\\)" got
finds "^mmap of 107,374,182,400 bytes refused with ENOMEM at .* in python[0-9.]* \\(pid [0-9]+\\)" got
ovc forks --json refused.ovc >forks.json || (($? == 1))
jq -r '[.forks[] | select(.errno == "ENOMEM")][0].comm' forks.json >its_name
finds "^python" its_name
