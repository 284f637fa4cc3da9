#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# examples/recipes/systemd/gunicorn.service.d under a real systemd, in a unit with a user of its own and ProtectSystem=strict: it answers,
# recycles its workers, all in one log; under a limit that does not hold its promised memory twice it has no worker, and why is told.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/servers.sh"
. "$source_dir/tests/fixtures/systemd.sh"
on_exit() { machine_stop; }
command -v gunicorn >/dev/null || skip "gunicorn is not installed"
mib=1024
logs=/var/log/ovcshim/gunicorn
echo 'import urllib.request; print(urllib.request.urlopen("http://127.0.0.1:8000/", timeout=10).read().decode())' >ask.py
serves() { [[ $(in_machine python3 - <ask.py 2>/dev/null || true) == hello ]]; }

dropin gunicorn.service.d
mkdir -p "$layer/srv"
cat >"$layer/srv/app.py" <<'END'
import mmap, os
promised = mmap.mmap(-1, int(os.environ.get("PROMISED_MIB", "1")) << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
END
cat >"$layer/etc/systemd/system/gunicorn.service" <<'END'
[Service]
User=www-data
WorkingDirectory=/srv
Environment=PYTHONDONTWRITEBYTECODE=1
ExecStart=/usr/bin/gunicorn --workers 2 --bind 127.0.0.1:8000 --max-requests 2 --preload app:app
ExecReload=/bin/kill -HUP $MAINPID
ProtectSystem=strict
PrivateTmp=true
NoNewPrivileges=true
END
machine_boot gunicorn.service
unit_active gunicorn
until_so 20 "an answer" serves
for _ in {1..6}; do until_so 10 "another answer" serves; done
in_machine systemctl stop gunicorn
machine_log $logs/gunicorn.ovc served.ovc
forks_told served.ovc >purposes
(($(awk '/ os.fork$/ { print $1 }' purposes) >= 4)) || fail "workers: $(<purposes)"

setting gunicorn.service "Environment=PROMISED_MIB=$mib OVCSHIM_REHEARSE=$(rehearse_limit $((mib * 3 / 2)))"
in_machine systemctl start gunicorn
ended() { in_machine systemctl is-failed --quiet gunicorn; }
until_so 20 "the end of gunicorn without workers" ended
machine_log $logs/gunicorn.ovc refused.ovc
refusal_told refused.ovc os.fork
