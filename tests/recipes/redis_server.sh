#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# examples/recipes/systemd/redis-server.service.d under a real systemd and Debian's own unit with all its walls: the service starts,
# saves, restarts into the same log; under a limit its BGSAVE is refused and explained.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/servers.sh"
. "$source_dir/tests/fixtures/systemd.sh"
on_exit() { machine_stop; }
[[ -e /lib/systemd/system/redis-server.service ]] || skip "no redis-server.service (package redis-server)"
mib=512
redis() { in_machine redis-cli "$@"; }
saved() { [[ $(redis info persistence) == *rdb_bgsave_in_progress:0*rdb_last_bgsave_status:ok* ]]; }

dropin redis-server.service.d
rehearse redis-server.service $((mib * 3 / 2))
machine_boot redis-server.service
unit_active redis-server
for wall in NoExecPaths=/ ProtectSystem=strict MemoryDenyWriteExecute=yes PrivateUsers=yes; do
  finds "^$wall$" <(in_machine systemctl show redis-server)
done
pid=$(in_machine systemctl show -P MainPID redis-server)
in_machine cat "/proc/$pid/status" >status
finds '^Seccomp:[[:space:]]2$' status
finds '^CapBnd:[[:space:]]0000000000000000$' status
finds 'libovcshim.so$' <(in_machine cat "/proc/$pid/maps")

redis set a b >/dev/null
[[ $(redis bgsave) == "Background saving started" ]] || fail "the first BGSAVE"
until_so 10 "BGSAVE" saved
in_machine systemctl restart redis-server
redis eval "for i = 1, $mib do redis.call('setrange', i, 1048575, 'x') end" 0 >/dev/null
[[ $(redis bgsave 2>&1) == *ERR* ]] || fail "BGSAVE was not refused"
finds "Can't save in background: fork: Cannot allocate memory" <(in_machine cat /var/log/redis/redis-server.log)
[[ $(in_machine sh -c 'ls /var/log/redis/*.ovc*') == /var/log/redis/ovcshim.ovc ]] || fail "more than one log"
machine_log /var/log/redis/ovcshim.ovc log
refusal_told log BGSAVE 1
[[ $(jq '[.forks[] | select(.failed | not) | .purpose] == ["BGSAVE"]' <(ovc forks --json log || true)) == true ]] || fail "$(ovc forks log || true)"
