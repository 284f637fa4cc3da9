#!/bin/sh
# SPDX-License-Identifier: MIT
# Entry point of a container whose server runs under the shim: any user, read-only root filesystem, the log on a volume at
# $OVC_LOG_DIR. If nothing can be written there, the server starts all the same, without the shim, and one line says so.
#   docker run --read-only --user 999 -v logs:/var/log/ovcshim IMAGE redis-server --save ''
# Read the log outside, or in the container: ovc why /var/log/ovcshim/redis-server.HOSTNAME.ovc.
# An image whose own entry point starts as root and goes on as another user (redis, valkey, postgres: exec gosu or setpriv) leaves two
# logs, root's and SERVER.HOSTNAME.uidN.ovc, if that user may write to the volume; ovc reads them as one.
# Settings as usual: -e OVCSHIM_CALLS_SIZE=0, ...
set -eu
directory=${OVC_LOG_DIR:-/var/log/ovcshim}
[ $# -gt 0 ] || { echo "usage: $0 COMMAND [ARGUMENT...]" >&2; exit 2; }
if [ -w "$directory" ]; then
  # One log for each container, by its host name: two that share the volume do not share a log. Of this boot it is joined.
  : "${OVCSHIM_LOG:=$directory/${1##*/}.$(cat /proc/sys/kernel/hostname).ovc}"
  export OVCSHIM_LOG LD_PRELOAD="libovcshim.so${LD_PRELOAD:+:$LD_PRELOAD}"
else
  echo "$0: $directory cannot be written to by uid $(id -u): no log of $1" >&2
fi
exec "$@"
