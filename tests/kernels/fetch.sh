#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A kernel of Debian's, unpacked: fetch.sh SUITE[-generic|-16k][-arm64] DIR. The newest of that suite; the small one for virtual machines,
# the one for every machine, or (arm64, since trixie) the one with pages of 16 kB. From the mirror that apt uses here, through a configuration of its own: nothing of the machine changes.
# Prints the folder. What was fetched before is taken again while it is less than OVC_KERNEL_DAYS old (30).
# Exit status 77: cannot be had here, with the reason.
set -euo pipefail
name=${1:?usage: fetch.sh SUITE[-generic|-16k][-arm64] DIR}
base=$(realpath -m "${2:?usage: fetch.sh SUITE[-generic|-16k][-arm64] DIR}")
kind=${name%-arm64}
architecture=amd64
[[ $name == "$kind" ]] || architecture=arm64
suite=${kind%%-*}
case $kind in
  *-generic) meta=linux-image-$architecture ;;
  *-16k) meta=linux-image-$architecture-16k ;;
  *) meta=linux-image-cloud-$architecture ;;
esac
kernel=$base/$name
. "$(dirname "${BASH_SOURCE[0]}")/../fixtures/apt_archive.sh"

if [[ -n $(find "$kernel/unpacked" -maxdepth 0 -mtime "-${OVC_KERNEL_DAYS:-30}" 2>/dev/null) ]]; then echo "$kernel"; exit; fi
for command in apt-get dpkg depmod; do command -v $command >/dev/null || skip "no $command here (tests/setup.sh kernels)"; done

uri=$(mirror)
[[ -n $uri ]] || skip "apt knows no mirror of Debian here (apt-get update)"
apt=$kernel/apt
rm -rf "$kernel"
apt_in "$apt" "$uri" "$suite" "$architecture" /dev/null
# The package that the suite's meta-package stands for.
package=$(apt-cache show "$meta" 2>/dev/null | grep -oE 'linux-image-[0-9][^ ,]*' | head -n 1) || true
[[ -n $package ]] || skip "$suite has no $meta"
# Since 7.0 the image is a name for its parts.
mapfile -t parts < <(apt-cache show "$package" | sed -n 's/^Depends: //p' | grep -oE 'linux-(base|binary|modules)-[0-9][^ ,]*' | sort -u)
(cd "$apt" && apt-get -q download "$package" "${parts[@]}" >>log 2>&1) || skip "$package cannot be fetched: $(grep -m1 '^E:' "$apt/log")"
for file in "$apt"/*.deb; do dpkg -x "$file" "$kernel/new"; done
release=${package#linux-image-}
[[ -d $kernel/new/lib/modules ]] || { rm -rf "$kernel/new/lib"; ln -s usr/lib "$kernel/new/lib"; }
depmod -b "$kernel/new" "$release"
rm -rf "$apt"
mv "$kernel/new" "$kernel/unpacked"
touch "$kernel/unpacked"
echo "$release" >"$kernel/release"
echo "$architecture" >"$kernel/architecture"
echo "$kernel"
