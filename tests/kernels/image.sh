#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The guests' disk: image.sh BUILD SOURCE DISK. An ext4 image with what the tests run (shell, text tools, Python, jq of this machine),
# the build and the scripts, all under the paths they have here. Made again when the build or a script is newer.
set -euo pipefail
build=$(realpath "$1") source_dir=$(realpath "$2") disk=$(realpath -m "$3")
packages=(bash dash coreutils util-linux mount grep sed mawk diffutils findutils tar jq procps libc-bin passwd python3-minimal)

newest() { find "$build"/{ovc,libovcshim.so,ovc_tests,programs,hostile,examples} "$source_dir/tests" -newer "$disk" -print -quit 2>/dev/null; }
[[ ! -e $disk || -n $(newest) ]] || exit 0
root=$(mktemp -d "${TMPDIR:-/var/tmp}/ovc-image.XXXXXX")
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{usr/{bin,sbin,lib,lib64},etc,dev,proc,sys,run,root,mnt,results}
mkdir -m 1777 "$root"/{tmp,var} && mkdir -m 1777 "$root/var/tmp" && chmod 755 "$root/var"
chmod 755 "$root"
for folder in bin sbin lib lib64; do ln -s usr/$folder "$root/$folder"; done

# Python's own packages carry its version in their names; awk is one of several.
python=$(realpath /usr/bin/python3)
packages+=("$(basename "$(realpath "$(command -v awk)")")"
  "${python##*/}-minimal" "lib${python##*/}-minimal" "lib${python##*/}-stdlib")
take() { tar -C / --no-recursion -cf - -T - 2>/dev/null | tar -C "$root" --keep-directory-symlink --skip-old-files -xf -; }
packaged() {
  local package
  for package in "${packages[@]}"; do dpkg -L "$package" 2>/dev/null; done |
    grep -vE '^/usr/share/(doc|man|locale|lintian|bash-completion|info)/|^/usr/lib/python3[^/]*/(lib2to3|idlelib|pydoc_data|distutils|test)/'
}
packaged | while read -r file; do if [[ -f $file ]]; then echo "$file"; fi; done | take || true
# The names that alternatives are known by, and users.
printf '%s\n' /usr/bin/awk /etc/alternatives/awk /usr/bin/sh /etc/passwd /etc/group /etc/nsswitch.conf /etc/ld.so.cache | take || true
ln -sf bash "$root/usr/bin/sh"
built=("$build"/{ovc,libovcshim.so,ovc_tests} "$build"/{programs,hostile,examples})
printf '%s\n' "${built[@]}" | while read -r file; do [[ ! -e $file ]] || find "$file" -type f; done | take
{ find "$source_dir"/tests/{e2e,cases,fixtures,hostile,kernels,programs,unit} -type f -size -512k; find "$source_dir/examples" -maxdepth 1 -type f; } | take
# A policy of SELinux, for guest/selinux.sh.
guest=$source_dir/tests/kernels/guest
if command -v checkpolicy >/dev/null; then checkpolicy -M -U allow -c 30 -o "$root$guest/selinux_policy" "$guest/selinux_policy.conf" >/dev/null; fi
# Every library that one of these programs loads.
find "$root" -type f \( -perm -100 -o -name '*.so*' \) -size +3k -print0 | xargs -0 ldd 2>/dev/null |
  grep -oE '/[^ ]*\.so[^ ]*' | sort -u | while read -r library; do printf '%s\n%s\n' "$library" "$(realpath "$library")"; done | sort -u | take || true
for command in bash awk sed grep jq python3 flock setsid tar ps; do
  [[ -x $root/usr/bin/$command ]] || { echo "image.sh: no $command among what was copied" >&2; exit 1; }
done
rm -f "$disk"
mke2fs -q -t ext4 -O ^has_journal -E root_owner=0:0 -d "$root" "$disk.new" "${OVC_KERNEL_DISK:-3G}" >/dev/null
mv "$disk.new" "$disk"
