#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The Debian package: what is in it, lintian, the same bytes twice, and that it works where it is installed: with LD_PRELOAD by
# name, `ovc run`, manual pages and completions.
. "$(dirname "$0")/../fixtures/e2e.sh"
for needed in dpkg-deb cpack man; do command -v $needed >/dev/null || skip "no $needed"; done

# pack FOLDER: of the binaries under test
pack() {
  mkdir "$1"
  (cd "$build" && SOURCE_DATE_EPOCH=1700000000 cpack -G DEB -B "$1") >cpack.out 2>&1 || { cat cpack.out; fail "cpack"; }
}
pack "$work/first"
pack "$work/again"
package=$(echo first/*.deb)
cmp "$package" again/*.deb || fail "packed twice, the bytes differ"
version=$(sed -n 's/.*kVersion\[\] = "\(.*\)".*/\1/p' "$source_dir/shim/format/version.h")
[[ $package == first/ovcshim_${version}_$(dpkg --print-architecture).deb ]] || fail "named $package"
dpkg-deb -f "$package" Depends >depends
for library in libc6 'libdw1(t64)?' 'libelf1(t64)?' 'libfmt[0-9]+' libsqlite3-0 'libstdc[+][+]6'; do
  finds "(^|, )$library \(>= [0-9]" depends
done
finds '(^|, )libunwind[0-9]+(,|$)' depends  # its package promises no version
if command -v lintian >/dev/null; then
  as_root=()
  ((EUID)) || as_root=(--allow-root)
  lintian --fail-on error,warning "${as_root[@]}" "$package" >lintian.out 2>&1 || { cat lintian.out; fail "lintian"; }
  [[ ! -s lintian.out ]] || { cat lintian.out; fail "lintian has something to say"; }
else
  echo "left out: no lintian"
fi

# Installed for real where that can be undone: in a root of its own, its libraries those of this machine.
root=$work/root
dpkg-deb -x "$package" "$root"
triplet=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || gcc -print-multiarch)
ovc=$root/usr/bin/ovc shim=$root/usr/lib/$triplet/libovcshim.so
[[ $("$ovc" --version) == "ovc $version (log format "* ]] || fail "$("$ovc" --version)"
exits 7 "$ovc" run -o run.ovc -- sh -c 'exit 7'
LD_LIBRARY_PATH=$(dirname "$shim") LD_PRELOAD=libovcshim.so OVCSHIM_LOG=$work/named.ovc "$build/examples/fork_once" >out
for log in run named; do exits 0 "$ovc" stats --json $log.ovc >$log.json; done
grep -qF "\"$version\"" named.json || fail "the log does not tell the shim's version"
jq -e 'any(.processes[]; .totals.calls.fork.calls == 1)' named.json >/dev/null || fail "the fork was not recorded"

# Manual pages without a warning of the formatter, with every command and every variable in them.
for page in man1/ovc.1 man7/libovcshim.7; do
  MANWIDTH=100 man --warnings -l "$root/usr/share/man/$page.gz" >"${page#*/}" 2>warnings </dev/null || fail "man $page"
  [[ ! -s warnings ]] || { cat warnings; fail "man $page"; }
done
"$ovc" help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' >commands
(($(wc -l <commands) > 8)) || fail "no commands in ovc help"
while read -r command; do finds "^       ovc $command( |$)" ovc.1; done <commands
while read -r variable; do finds "$variable" libovcshim.7; done < <(grep -oE 'OVCSHIM_[A-Z_]+' "$source_dir/shim/session/session.cc" | sort -u)

# Completions, asked the way that each shell asks.
in_bash() {
  bash --norc -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); compopt() { :; }; _ovc; printf "%s\n" "${COMPREPLY[@]}"' \
    bash "$root/usr/share/bash-completion/completions/ovc" "$@" | sort
}
same <(in_bash ovc '' | grep -v '^-') <(sort commands) "bash: the commands"
in_bash ovc why --j >completed
same completed <(echo --json) "bash: an option"
in_bash ovc export --to p >completed
same completed <(echo perfetto) "bash: a value"
in_bash ovc why run >completed
same completed <(echo run.ovc) "bash: a log"
in_bash ovc show --op mma >completed
same completed <(echo mmap) "bash: a call"
if command -v fish >/dev/null; then
  HOME=$work fish --no-config -c "source '$root/usr/share/fish/vendor_completions.d/ovc.fish'; complete -C 'ovc '" | cut -f1 | grep -v '^-' | sort >completed
  same completed <(sort commands) "fish: the commands"
  HOME=$work fish --no-config -c "source '$root/usr/share/fish/vendor_completions.d/ovc.fish'; complete -C 'ovc export --to p'" | cut -f1 >completed
  finds '^perfetto$' completed
else
  echo "left out: no fish"
fi
if command -v zsh >/dev/null; then
  # A real zsh in a terminal of its own, which shows what Tab offers.
  python3 "$source_dir/tests/fixtures/zsh_completes.py" "$root/usr/share/zsh/vendor-completions" 'ovc ' >completed
  while read -r command; do finds "(^|[^a-z])$command([^a-z]|$)" completed; done <commands
  python3 "$source_dir/tests/fixtures/zsh_completes.py" "$root/usr/share/zsh/vendor-completions" 'ovc export --to=perf' >completed
  finds 'perfetto' completed
else
  echo "left out: no zsh"
fi
