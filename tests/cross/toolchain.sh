#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What building for aarch64 on another machine needs: toolchain.sh DIR. Leaves in DIR
#   root/   Debian's arm64 packages unpacked: libraries and headers to build with, shell and text tools for a guest
#   bin/    aarch64-linux-gnu-gcc, -g++ and binutils: this machine's, else Debian's package, unpacked beside them
# From the mirror that apt uses here, by a configuration of its own. Nothing of this machine changes: as packages, the cross
# compiler would put gcc-multilib off it. Made anew when this script changes. Exit status 77: cannot be had here, with the reason.
set -euo pipefail
dir=$(realpath -m "${1:?usage: toolchain.sh DIR}")
target=aarch64-linux-gnu
. "$(dirname "${BASH_SOURCE[0]}")/../fixtures/apt_archive.sh"

[[ ! $dir/done -nt ${BASH_SOURCE[0]} ]] || exit 0
for command in apt-get dpkg-deb; do command -v $command >/dev/null || skip "no $command here"; done
# shellcheck disable=SC1091
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
uri=$(mirror)
[[ -n $uri && -n $suite ]] || skip "apt knows no mirror of Debian here (apt-get update)"
rm -rf "$dir"
mkdir -p "$dir"/{bin,root}

# apt_for ARCHITECTURE STATUS: as apt_in, of this suite
apt_for() { apt_in "$dir/apt.$1" "$uri" "$suite" "$1" "$2"; }

apt_for arm64 /dev/null
standard=$(apt-cache depends g++ | grep -oE 'g\+\+-[0-9]+' | head -n 1)
apt_unpack "$dir/root" libc6-dev "libstdc++-${standard#g++-}-dev" libfmt-dev libdw-dev libelf-dev libcli11-dev nlohmann-json3-dev \
  libsqlite3-dev libunwind-dev zlib1g-dev libbz2-dev liblzma-dev catch2 bash dash coreutils util-linux mount grep sed mawk diffutils findutils tar jq procps libc-bin \
  passwd python3-minimal busybox-static
# Links from root to root would lead out of it.
find "$dir/root" -type l -lname '/*' -printf '%p\t%l\n' | while IFS=$'\t' read -r link to; do ln -sfrn "$dir/root$to" "$link"; done

if command -v $target-g++ >/dev/null; then
  for tool in gcc g++ ar ranlib objcopy objdump readelf nm strip; do ln -s "$(command -v $target-$tool)" "$dir/bin/$target-$tool"; done
else
  mkdir "$dir/host"
  apt_for "$(dpkg --print-architecture)" /var/lib/dpkg/status
  # libc for it is that of root/
  apt_without='@(libc6|linux-libc)-*-cross_*.deb' apt_unpack "$dir/host" g++-$target
  # The linker's own library lies beside it, where the loader does not look.
  libraries=$(dirname "$(find "$dir/host/usr/lib" -name 'libbfd-*' -print -quit)")
  for tool in "$dir"/host/usr/bin/"$target"-*; do
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q "$@"\n' "$libraries" "$tool" >"$dir/bin/${tool##*/}"
    chmod 755 "$dir/bin/${tool##*/}"
  done
fi
touch "$dir/done"
