#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Does the same source give the same bytes? And does what is built by other compilers and other flags work?
#   builds.sh          libovcshim.so from two copies of the source in different folders: the same bytes
#   builds.sh --all    also ovc from two folders; then both by each compiler and set of flags below, each with a look at what it
#                      records of a program and of redis-server; takes half an hour on two processors
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/redis.sh"
on_exit() { redis_stop; }

hardened="-O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fcf-protection -Wformat -Werror=format-security -fPIE"
# NAME|C COMPILER|C++ COMPILER|THEIR FLAGS|THE LINKER'S FLAGS
builds=(
  "O0|gcc|g++|-O0 -g|"
  "O3|gcc|g++|-O3|"
  "lto|gcc|g++|-O2 -flto=auto|-flto=auto"
  "hardened|gcc|g++|$hardened|-Wl,-z,relro,-z,now -pie"
  "clang|clang|clang++|-O2 -g|"
  "clang-lto|clang|clang++|-O2 -flto=thin|-flto=thin -fuse-ld=lld"
)
[[ $(uname -m) == x86_64 ]] || builds=("${builds[@]/-fcf-protection/}")

copy_source() { mkdir -p "$1"; tar -C "$source_dir" -c CMakeLists.txt README.md LICENSE shim tools examples | tar -C "$1" -x; }
# build SOURCE FOLDER TARGETS CMAKE-ARGUMENT...
build() {
  local from=$1 to=$2 targets=$3
  shift 3
  cmake -S "$from" -B "$to" -DOVC_TESTS=OFF "$@" >"$to.configured" 2>&1 || { cat "$to.configured"; return 1; }
  # shellcheck disable=SC2086
  cmake --build "$to" -j"$(nproc)" --target $targets >"$to.built" 2>&1 || { grep -B 2 -A 10 -m 3 -iE 'error|undefined' "$to.built"; return 1; }
}
same_bytes() {
  cmp "$1" "$2" && return
  ! grep -aqF "$work" "$1" || echo "the folder's name is in it"
  fail "two builds of the same source differ: $1 $2"
}

# What a program does is known from its source; the log must have it, whatever built the shim and the reader.
records() {
  local folder=$1
  "$folder/ovc" run -o "$folder/forks.ovc" -- "$work/forks" >/dev/null 2>run.err || { cat run.err; fail "a program under the shim"; }
  "$folder/ovc" forks --json "$folder/forks.ovc" >forks.json
  jq -e '[.forks[] | select(.call == "fork")] | length == 1 and .[0].child.end == "exited, 7"' forks.json >/dev/null ||
    { cat forks.json; fail "its fork"; }
  "$folder/ovc" show --op fork,clone,waitpid "$folder/forks.ovc" >shown
  finds 'libc: clone\(CLONE_CHILD_CLEARTID\|CLONE_CHILD_SETTID\|SIGCHLD\)' shown
  finds 'fork\(\) = [0-9]+ .*<- main\+0x' shown
  exits 0 "$folder/ovc" why "$folder/forks.ovc" >why.out
  "$folder/ovc" stats --json "$folder/forks.ovc" >stats.json
  jq -e 'any(.processes[]; .totals.calls.fork.calls == 1)' stats.json >/dev/null || fail "its counters"
  exits 1 "$folder/ovc" run --inject 'fork:error=ENOMEM' -o "$folder/refused.ovc" -- "$work/forks" >/dev/null 2>run.err
  finds '^fork refused with ENOMEM' run.err
}
records_redis() {
  local folder=$1
  command -v redis-server >/dev/null || { echo "left out: no redis-server"; return; }
  redis_start "$folder/redis" LD_PRELOAD="$folder/libovcshim.so" OVCSHIM_LOG="$folder/redis.ovc"
  redis_fill 8
  redis bgsave >/dev/null
  redis_bgsave_ends
  redis_stop
  "$folder/ovc" forks --json "$folder/redis.ovc" >forks.json
  jq -e 'any(.forks[]; .call == "fork" and .child.end == "exited, 0")' forks.json >/dev/null || { cat forks.json; fail "BGSAVE of redis-server"; }
  grep -q BGSAVE forks.json || fail "no fork is known as BGSAVE"
}

# Built as the binaries under test are, but for the folder.
compiler=$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt" 2>/dev/null || true)
common=(-DCMAKE_BUILD_TYPE=Release ${compiler:+-DCMAKE_CXX_COMPILER="$compiler"})
targets=ovcshim
[[ ${1-} != --all ]] || targets="ovcshim ovc docs"
for place in one "another/and deeper"; do
  copy_source "$work/$place/source"
done
mkdir "$work/built-1" "$work/another/2"
build "$work/one/source" "$work/built-1" "$targets" "${common[@]}"
build "$work/another/and deeper/source" "$work/another/2" "$targets" "${common[@]}"
same_bytes built-1/libovcshim.so another/2/libovcshim.so
echo "libovcshim.so: $(sha256sum <built-1/libovcshim.so | head -c 16), twice"
[[ ${1-} == --all ]] || exit 0
same_bytes built-1/ovc another/2/ovc
for file in "$work"/built-1/docs/*; do same_bytes "$file" "$work/another/2/docs/${file##*/}"; done
echo "ovc and its documents: the same bytes twice"

gcc -O0 -o forks "$source_dir/examples/fork_once.c"
for row in "release|||" "${builds[@]}"; do
  IFS='|' read -r name cc cxx flags link_flags <<<"$row"
  started=$SECONDS
  folder=$work/$name
  if [[ $name == release ]]; then
    folder=$work/built-1
  elif ! command -v "$cxx" >/dev/null || [[ $link_flags == *lld* && -z $(command -v ld.lld || command -v ld.lld-14) ]]; then
    echo "left out: $name, no $cxx or no linker for it"
    continue
  else
    mkdir "$folder"
    build "$work/one/source" "$folder" "ovcshim ovc" -DCMAKE_BUILD_TYPE=None -DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" \
      -DCMAKE_C_FLAGS="$flags" -DCMAKE_CXX_FLAGS="$flags" -DCMAKE_ASM_FLAGS="${flags/-flto*/}" \
      -DCMAKE_EXE_LINKER_FLAGS="$link_flags" -DCMAKE_SHARED_LINKER_FLAGS="${link_flags/-pie/}" || fail "$name does not build"
  fi
  for check in exports symbols; do
    OVC_BUILD=$folder "$source_dir/tests/checks/$check.sh" >check.out || { cat check.out >&3; fail "$name: $check"; }
  done
  records "$folder"
  records_redis "$folder"
  echo "$name: builds and records, $((SECONDS - started)) s"
done
