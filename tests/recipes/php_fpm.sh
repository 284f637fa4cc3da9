#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# examples/recipes/systemd/php8.2-fpm.service.d under a real systemd and Debian's own unit: PHP-FPM answers, reloads, its workers are in
# the log; with one refused it says so and why is told; what scripts start has a log of its own with the line of the pool that the
# file names.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/servers.sh"
. "$source_dir/tests/fixtures/systemd.sh"
on_exit() { machine_stop; }
unit=$(basename "$(find /lib/systemd/system/php*-fpm.service 2>/dev/null | sort -V | tail -1)" .service)
[[ -n $unit ]] || skip "no PHP-FPM (package php-fpm)"
version=${unit#php} version=${version%-fpm}
logs=/var/log/ovcshim/php-fpm
port=9000
# shellcheck disable=SC2016  # for PHP
echo '<?php echo "by ", exec("echo exec");' >script.php
request() { in_machine python3 - $port /srv/script.php "$1" <"$source_dir/tests/fixtures/fcgi.py"; }

mkdir -p "$layer/etc/systemd/system" "$layer/srv" "$layer/etc/php/$version/fpm/pool.d"
cp -r "$source_dir/examples/recipes/systemd/php8.2-fpm.service.d" "$layer/etc/systemd/system/$unit.service.d"
cp script.php "$layer/srv/"
printf '%s\n' '[recipe]' 'user = www-data' 'group = www-data' "listen = 127.0.0.1:$port" 'pm = ondemand' 'pm.max_children = 4' \
  'env[LD_PRELOAD] = libovcshim.so' >"$layer/etc/php/$version/fpm/pool.d/recipe.conf"
machine_boot "$unit.service"
unit_active "$unit"
[[ $(request 1) == "by exec" ]] || fail "no answer"
in_machine systemctl reload "$unit"
unit_active "$unit"
[[ $(request 1) == "by exec" ]] || fail "no answer after the reload"
in_machine systemctl stop "$unit"
machine_log $logs/php-fpm.ovc served.ovc
purposes served.ovc >list
finds '^[0-9]+ worker process$' list
finds '^2 program started by PHP \(exec, system, ...\)$' list
jq -e '[.forks[] | select(.purpose == null or (.purpose == "worker process" and .child.end == null))] | length == 0' \
  served.ovc.forks >/dev/null ||
  fail "no purpose or no end: $(<served.ovc.forks)"
in_machine sh -c 'stat -c %U /var/tmp/ovcshim.sh.*.ovc' >owners
same owners - <<<$'www-data\nwww-data' "logs of what scripts started"

# Two workers of the pool www come first.
setting "$unit.service" "Environment=OVCSHIM_INJECT=fork:error=ENOMEM:when=3 OVCSHIM_LOG=$logs/refused.ovc"
in_machine systemctl start "$unit"
unit_active "$unit"
{ request 1 || true; } >answer 2>&1 &
asking=$!
told_refusal() { in_machine grep -q 'fork() failed: Cannot allocate memory (12)' "/var/log/$unit.log"; }
until_so 10 "a refused worker" told_refusal
kill "$asking" 2>/dev/null || true
in_machine systemctl stop "$unit"
machine_log $logs/refused.ovc refused.ovc
exits 1 ovc why --json refused.ovc >verdicts
jq -e '[.verdicts[] | select(.purpose == "worker process" and .cause == "injected" and .errno == "ENOMEM")] | length == 1' \
  verdicts >/dev/null ||
  fail "$(jq .verdicts verdicts)"
