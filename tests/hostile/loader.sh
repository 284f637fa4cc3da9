#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The loader in its other roles: as a program, ldd, libc run as a program, LD_AUDIT, LD_BIND_NOW, LD_DEBUG, dlmopen's namespaces, the
# shim named twice, programs and plugins with few bytes of static TLS left. What they print is what they print without the shim.
# Pitfalls: ld.so and libc.so.6 run as programs, ldd under the preload, LD_AUDIT, dlopen's search path and namespaces, static TLS.
. "$(dirname "$0")/../fixtures/e2e.sh"
. "$source_dir/tests/fixtures/beside.sh"
libc=$(library libc.so.6)
loader=$(readelf -lW "$build/hostile/allocations" | sed -nE 's/.*interpreter: (.*)\]/\1/p')
libm=$(library libm.so.6)

alike ld_so "$loader" "$build/hostile/allocations"
linked ld_so.1.ovc 6
alike ld_so_verify "$loader" --verify /bin/true
alike ld_so_version "$loader" --version
alike ld_so_preload "$loader" --preload "$libm" /bin/echo hello
alike libc "$libc"
# ldd lists the shim, since the loader lists what is preloaded; else its lines are the same, but for addresses.
listing() { sed -E 's/ \(0x[0-9a-f]+\)//; /libovcshim/d'; }
listed() { for object in /bin/ls /bin/bash "$shim"; do env "$@" ldd "$object" || echo "status $?"; done; }
listed A=B 2>&1 | listing >plain.out
listed LD_PRELOAD="$shim" OVCSHIM_LOG="$work/ldd.ovc" 2>&1 | listing >shim.out
same plain.out shim.out ldd

alike bind_now env LD_BIND_NOW=1 "$build/hostile/allocations"
alike bind_not env LD_BIND_NOT=1 "$build/hostile/operators"
alike warn env LD_WARN=1 /bin/echo hello
under "$work/debug.ovc" env LD_DEBUG=bindings,files LD_DEBUG_OUTPUT="$work/debug" "$build/hostile/operators" >debug.out
"$build/hostile/operators" >plain.out
same plain.out debug.out LD_DEBUG
grep -qh 'binding file .*operators.* to .*libovcshim.so.*malloc' debug.* || fail "malloc is not bound to the shim"

# Named twice, and by two names: loaded once or twice, recorded once.
ln -s "$shim" again.so
cp "$shim" copy.so
for list in "$shim:$shim" "$shim:$work/again.so" "$shim $work/again.so"; do
  LD_PRELOAD=$list OVCSHIM_LOG=$work/twice.ovc "$build/hostile/operators" >twice.out 2>twice.err
  same plain.out twice.out "preloaded as $list"
  [[ ! -s twice.err ]] || { cat twice.err; fail "messages: $list"; }
  ovc show --op malloc twice.ovc >seen || (($? == 1))
  (($(grep -c 'malloc(333) ' seen) == 1)) || fail "malloc(333) is recorded $(grep -c 'malloc(333) ' seen) times: $list"
  rm twice.ovc
done
behind=$work/copy.so  # another file: two shims, each with what it was asked
alike copies "$build/hostile/allocations"
behind=""

command -v gcc >/dev/null || { echo "left out: auditors, namespaces and static TLS, no gcc"; exit 0; }
# An auditor has a namespace and a libc of its own; it is told of every object.
cat >auditor.c <<'C'
#define _GNU_SOURCE
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
unsigned la_version(unsigned v) { free(malloc(100)); return v; }
unsigned la_objopen(struct link_map* map, Lmid_t space, uintptr_t* cookie) {
  const char* name = strrchr(map->l_name, '/');
  if (name && !strstr(name, "libovcshim")) fprintf(stderr, "audit: %s in %ld\n", name + 1, (long)space);
  *cookie = (uintptr_t)map;
  return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}
uintptr_t la_symbind64(Elf64_Sym* symbol, unsigned index, uintptr_t* from, uintptr_t* to, unsigned* flags, const char* name) {
  (void)index, (void)from, (void)to, (void)flags, (void)name;
  return symbol->st_value;
}
C
built auditor.so gcc -shared -fPIC auditor.c
# The loader's own blocks come from elsewhere than without a shim, so libc's heap is another and what is usable may be more.
# shellcheck disable=SC2016  # for the inner shell
alike audit bash -c 'LD_AUDIT=$0 "$1" | sed "s/ usable.*//"; exit ${PIPESTATUS[0]}' "$work/auditor.so" "$build/hostile/allocations"
linked audit.1.ovc 6
# shellcheck disable=SC2016  # for the inner shell
alike audit_lazy env LD_AUDIT="$work/auditor.so" bash -c 'echo $(echo a) | cat; exit 3'

# Namespaces: a second libc, whose malloc and fork the shim does not stand before. Nothing breaks, and what is recorded is true.
cat >plugin.c <<'C'
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static __thread char here[64];
int work(void) {
  char* p = malloc(3000000);
  memset(p, 1, 3000000);
  here[0] = 1;
  free(p);
  pid_t pid = fork();
  if (pid == 0) _exit(6);
  int status = 0;
  waitpid(pid, &status, 0);
  return WEXITSTATUS(status);
}
C
cat >namespaces.c <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static int run(void* plugin) {
  int (*work)(void);
  void* found = plugin ? dlsym(plugin, "work") : NULL;
  if (!found) return puts(dlerror()), -1;
  memcpy(&work, &found, sizeof work);
  return work();
}
int main(void) {
  for (int i = 0; i < 5; ++i) {
    void* plugin = dlmopen(LM_ID_NEWLM, "./plugin.so", RTLD_NOW | RTLD_LOCAL);
    printf("namespace %d\n", run(plugin));
    if (plugin) printf("closed %d\n", dlclose(plugin));
    plugin = dlopen("./plugin.so", RTLD_LAZY);
    printf("plugin %d\n", run(plugin));
    printf("closed %d\n", dlclose(plugin));
  }
  free(malloc(77));
  return 0;
}
C
built plugin.so gcc -shared -fPIC plugin.c
built namespaces gcc namespaces.c -ldl
alike namespaces ./namespaces
linked namespaces.1.ovc 5
linked namespaces.0.ovc 5

# A plugin that wants much static TLS finds as much as it does without the shim; how little that is, is tried out.
for bytes in 128 512 1024 1400; do
  echo "__thread char tls[$bytes] __attribute__((tls_model(\"initial-exec\"))); int work(void) { tls[1] = 5; return tls[1]; }" >tls.c
  built tls.so gcc -shared -fPIC tls.c
  sed 's/plugin.so/tls.so/; s/dlmopen(LM_ID_NEWLM, /dlopen(/; s/ | RTLD_LOCAL//; s/i < 5/i < 1/' namespaces.c >takes_tls.c
  built takes_tls gcc takes_tls.c -ldl
  alike "tls$bytes" ./takes_tls
done
# dlopen by a bare name goes through the caller's RUNPATH: it is the program that calls, not the shim.
mkdir hidden && mv plugin.so hidden/found_by_runpath.so
sed 's,"./plugin.so","found_by_runpath.so",; s/LM_ID_NEWLM/LM_ID_BASE/' namespaces.c >runpath.c
built runpath gcc runpath.c -ldl "-Wl,-rpath,$work/hidden"
alike runpath ./runpath
