#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# examples/recipes/container/entrypoint.sh in a container made by bubblewrap: a root filesystem of which nothing is writable, a user that
# is nobody here, processes of its own, the log on a volume. Once with a volume that it may write to, under a limit that refuses its
# BGSAVE; once with one that it may not: then the server runs without the shim, and one line says so; and once with an entry point behind
# it that starts as root and goes on as another user, as those of the redis and valkey images do.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/servers.sh"
. "$source_dir/tests/fixtures/redis.sh"
on_exit() { server_stop KILL; }
command -v bwrap >/dev/null || skip "no bubblewrap (package bubblewrap)"
command -v redis-server >/dev/null || skip "redis-server is not installed"
# What its threads, three or four, have as stacks is promised and not touched: data would do as well.
stack_mib=512
multiarch=$(dirname "$(realpath /lib/*/libc.so.6 | head -1)")
uid=65534
((EUID == 0)) || uid=$EUID
pings() { [[ $(redis ping 2>/dev/null) == PONG ]]; }

# Library and entry point lie over a folder that redis does not need; this machine's root is the image.
mkdir library volume full data
cp "$shim" "$source_dir/examples/recipes/container/entrypoint.sh" library/
chmod 755 "$work" library
chmod 500 full
chown "$uid" volume data
cat >library/image.sh <<'END'
#!/bin/sh
set -e
if [ "$(id -u)" = 0 ]; then chown 61234 "$DATA"; exec setpriv --reuid=61234 --regid=61234 --clear-groups -- "$0" "$@"; fi
exec "$@"
END
chmod 755 library/image.sh
confined=(--unshare-user)
image=()  # what stands between our entry point and the server
# contained VOLUME [VAR=VALUE...]: redis-server in a container
contained() {
  local volume=$1 settings=() word
  shift
  for word in "$@"; do settings+=(--setenv "${word%%=*}" "${word#*=}"); done
  free_port
  redis_port=$port
  server_start "$volume.out" setpriv ${as_nobody[@]+"${as_nobody[@]}"} bwrap "${confined[@]}" --unshare-pid --unshare-ipc --unshare-uts \
    --hostname box --die-with-parent --as-pid-1 --ro-bind / / --proc /proc --dev /dev --tmpfs /tmp \
    --ro-bind "$PWD/library" "$multiarch/gconv" --bind "$PWD/$volume" /mnt --bind "$PWD/data" /srv --chdir /srv \
    --clearenv --setenv PATH /usr/bin:/bin --setenv OVC_LOG_DIR /mnt --setenv LD_LIBRARY_PATH "$multiarch/gconv" "${settings[@]}" \
    "$multiarch/gconv/entrypoint.sh" ${image[@]+"${image[@]}"} redis-server --port "$port" --bind 127.0.0.1 --save '' --dir /srv
  until_so 10 "the server" pings
}
as_nobody=()
((EUID)) || as_nobody=(--reuid "$uid" --regid "$(id -g nobody)" --clear-groups)
setpriv ${as_nobody[@]+"${as_nobody[@]}"} bwrap --unshare-user --ro-bind / / true 2>why ||
  skip "bubblewrap cannot make a container here: $(<why)"

contained full
server_stop TERM
[[ $(grep -c 'no log of redis-server' full.out) == 1 ]] || fail "said: $(<full.out)"
! grep -qE '^ovcshim|ld.so' full.out || fail "said more: $(<full.out)"

ulimit -s $((stack_mib * 1024)) || skip "no larger stacks here: a refusal was not tried"
contained volume OVCSHIM_REHEARSE="$(rehearse_limit $((stack_mib * 5)))"
[[ $(redis bgsave 2>&1 || true) == *ERR* ]] || fail "BGSAVE was not refused"
redis config set stop-writes-on-bgsave-error no >/dev/null
server_stop TERM
[[ $(echo volume/*) == volume/redis-server.box.ovc ]] || fail "logs: $(echo volume/*)"
refusal_told volume/redis-server.box.ovc BGSAVE 1
nobody_left

# --- an image that starts as root
((EUID == 0)) || { echo "not tested without root: an entry point that drops it"; exit 0; }
as_nobody=()
confined=(--cap-add CAP_SETUID --cap-add CAP_SETGID --cap-add CAP_CHOWN --cap-add CAP_DAC_OVERRIDE)
image=("$multiarch/gconv/image.sh")
mkdir -m 1777 dropped
contained dropped DATA=/srv OVCSHIM_REHEARSE="$(rehearse_limit $((stack_mib * 5)))"
[[ $(redis bgsave 2>&1 || true) == *ERR* ]] || fail "BGSAVE was not refused"
redis config set stop-writes-on-bgsave-error no >/dev/null
# bwrap's death does not end it: who changes his user loses the signal for that (prctl(2), PR_SET_PDEATHSIG).
redis shutdown nosave >/dev/null 2>&1 || true
until_so 10 "the end of the server" eval '! pings'
server_stop TERM
! grep -q '^ovcshim' dropped.out || fail "said: $(<dropped.out)"
[[ $(stat -c '%n %u %a' dropped/*) == "dropped/image.sh.box.ovc 0 600"$'\n'"dropped/image.sh.box.uid61234.ovc 61234 600" ]] || fail "logs: $(ls -la dropped)"
refusal_told dropped/image.sh.box.ovc BGSAVE 1
