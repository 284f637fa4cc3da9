#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `ovc follow` and `ovc check --watch` in a terminal: a block that is drawn anew in place, lines that stay, the cursor given back, no
# line broken by the window, colours only where they are wanted; and in a pipe nothing of it.
. "$(dirname "$0")/../fixtures/e2e.sh"
[[ $(without_terminals forkpty) == forkpty ]] || skip "no pseudo terminals here"

# TERM makes no terminal of a pipe.
under "$work/pipe.ovc" true
TERM=xterm exits 0 ovc follow "$work/pipe.ovc" >lines
finds '^[0-9:.]+  true [0-9]+  ended normally' lines
TERM=xterm ovc check $$ --watch 3600 >rounds &
watcher=$!
until grep -q '^  read ' rounds; do kill -0 $watcher; done
kill -TERM $watcher
wait $watcher
! grep -l $'\e' lines rounds || fail "escape sequences in a pipe"

python3 "$source_dir/tests/e2e/terminal_views.py" "$work"
