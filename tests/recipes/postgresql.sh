#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# examples/recipes/postgresql/environment in a cluster of Debian's pg_createcluster, started by postgresql@.service of a real systemd:
# each fork has a purpose; a client whose backend is refused is told so, and `ovc why` as well. What the file says of Environment= in
# the unit is so.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/servers.sh"
. "$source_dir/tests/fixtures/systemd.sh"
on_exit() { machine_stop; }
version=$(find /usr/lib/postgresql/*/bin -maxdepth 0 2>/dev/null | sort -V | tail -1 | cut -d/ -f5) || true
[[ -n $version && -e /lib/systemd/system/postgresql@.service ]] || skip "no PostgreSQL (package postgresql)"
unit=postgresql@$version-recipe
environment=/etc/postgresql/$version/recipe/environment
logs=/var/log/postgresql
sql() { in_machine setpriv --reuid postgres --regid postgres --clear-groups psql -XAtq --cluster "$version/recipe" -c "$1"; }
# shellcheck disable=SC2016  # for the shell in it
preloaded() { in_machine sh -c 'grep -q libovcshim.so "/proc/$(head -1 "/run/postgresql/$1-recipe.pid")/maps"' - "$version"; }
started() {
  in_machine systemctl start "$unit"
  unit_active "$unit"
  [[ $(sql 'select 42') == 42 ]] || fail "no answer"
}

machine_boot basic.target
in_machine pg_createcluster "$version" recipe --start-conf manual --no-status --pgoption fsync=off >created 2>&1 || fail "$(<created)"
setting "$unit.service" "Environment=LD_PRELOAD=libovcshim.so OVCSHIM_LOG=$logs/unit.ovc"
started
preloaded && fail "Environment= in the unit reaches the server"
in_machine systemctl stop "$unit"

in_machine tee -a "$environment" <"$source_dir/examples/recipes/postgresql/environment" >/dev/null
started
preloaded || fail "the server is not under the shim"
in_machine systemctl stop "$unit"
machine_log $logs/ovcshim.ovc served.ovc
forks_told served.ovc >purposes
for purpose in postmaster checkpointer "backend for a new connection"; do finds "^[0-9]+ $purpose$" purposes; done

# Checkpointer, background writer, startup process, WAL writer and the launcher for replication come first, then the first client, who
# asks for the state of the server and is asked to come again.
printf "%s = '%s'\n" OVCSHIM_INJECT fork:error=ENOMEM:when=6..7 OVCSHIM_LOG $logs/refused.ovc | in_machine tee -a "$environment" >/dev/null
started
in_machine cat "$logs/postgresql-$version-recipe.log" >said
finds 'could not fork new process for connection: Cannot allocate memory' said
in_machine systemctl stop "$unit"
machine_log $logs/refused.ovc refused.ovc
exits 1 ovc why --json refused.ovc >verdicts
jq -e '[.verdicts[] | select(.purpose == "backend for a new connection" and .cause == "injected" and .errno == "ENOMEM")] | length == 1' \
  verdicts >/dev/null ||
  fail "$(jq .verdicts verdicts)"
