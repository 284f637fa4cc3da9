#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# examples/recipes/systemd/redis-server.service.d under a real systemd and Debian's own unit with all its walls: the service starts,
# saves, restarts into the same log; under a limit its BGSAVE is refused and explained.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/servers.sh"
. "$source_dir/tests/fixtures/systemd.sh"
on_exit() { machine_stop; }
[[ -e /lib/systemd/system/redis-server.service ]] || skip "no redis-server.service (package redis-server)"
# What the unit's threads, three or four, have as stacks is promised and not touched: data would do as well.
stack_mib=512
redis() { in_machine redis-cli "$@"; }
saved() { [[ $(redis info persistence) == *rdb_bgsave_in_progress:0*rdb_last_bgsave_status:ok* ]]; }

dropin redis-server.service.d
machine_boot redis-server.service
unit_active redis-server
in_machine systemctl show redis-server >unit
for wall in NoExecPaths=/ ProtectSystem=strict MemoryDenyWriteExecute=yes PrivateUsers=yes; do
  finds "^$wall$" unit
done
pid=$(in_machine systemctl show -P MainPID redis-server)
in_machine cat "/proc/$pid/status" >status
finds '^Seccomp:[[:space:]]2$' status
finds '^CapBnd:[[:space:]]0000000000000000$' status
in_machine cat "/proc/$pid/maps" >maps
finds 'libovcshim.so$' maps

redis set a b >/dev/null
[[ $(redis bgsave) == "Background saving started" ]] || fail "the first BGSAVE"
until_so 10 "BGSAVE" saved
setting redis-server.service LimitSTACK=${stack_mib}M "Environment=OVCSHIM_REHEARSE=$(rehearse_limit $((stack_mib * 5)))"
in_machine systemctl restart redis-server
[[ $(redis bgsave 2>&1 || true) == *ERR* ]] || fail "BGSAVE was not refused"
in_machine cat /var/log/redis/redis-server.log >redis.log
finds "Can't save in background: fork: Cannot allocate memory" redis.log
[[ $(in_machine sh -c 'ls /var/log/redis/*.ovc*') == /var/log/redis/ovcshim.ovc ]] || fail "more than one log"
machine_log /var/log/redis/ovcshim.ovc log
refusal_told log BGSAVE 1
same <(purposes log) - <<<'1 BGSAVE' "forks that passed"
