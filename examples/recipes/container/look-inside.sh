#!/bin/sh
# SPDX-License-Identifier: MIT
# A first answer about a server in a container that has no ovc: would its next fork pass, will its save survive? Nothing is installed
# in the container, nothing is restarted. IMAGE holds ovc alone: podman build -f examples/recipes/container/Containerfile --target ovc
#   look-inside.sh kubernetes POD CONTAINER IMAGE [OVC-ARGUMENT...]   an ephemeral container beside CONTAINER (kubectl debug)
#   look-inside.sh docker CONTAINER IMAGE [OVC-ARGUMENT...]           a second container with the processes of CONTAINER
#   look-inside.sh podman CONTAINER IMAGE [OVC-ARGUMENT...]
# Without arguments for ovc: check --all, a line for each process. Then, for one of them:
#   ... check redis-server                          in full
#   ... check --stacks redis-server                 where each of its threads is
#   ... why /proc/1/root/var/log/ovcshim/x.ovc      a log of the shim, by the path that process 1 has for it
# On the host itself none of this is needed: ovc check PID, with the number that the host has for it, sees more (the groups above, too).
# To read another process's memory map it needs CAP_SYS_PTRACE, which is all that is asked for.
set -eu
usage() { sed -n 's/^#   look-inside.sh/usage: look-inside.sh/p' "$0" >&2; exit 2; }
[ $# -ge 1 ] || usage
with=$1
shift
case $with in
  kubernetes)
    [ $# -ge 3 ] || usage
    pod=$1 container=$2 image=$3
    shift 3
    [ $# -gt 0 ] || set -- check --all
    # --target: the processes of that container; general: CAP_SYS_PTRACE.
    exec kubectl debug "$pod" --target="$container" --image="$image" --profile=general --attach --quiet -- /ovc "$@"
    ;;
  docker | podman)
    [ $# -ge 2 ] || usage
    container=$1 image=$2
    shift 2
    [ $# -gt 0 ] || set -- check --all
    exec "$with" run --rm --pid="container:$container" --cap-add=SYS_PTRACE "$image" "$@"
    ;;
  *) usage ;;
esac
