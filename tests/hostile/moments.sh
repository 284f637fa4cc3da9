#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Calls from where libraries seldom expect them: before and after main, in handlers, in vfork children, on small stacks, while signals
# rain and libraries come and go. Output as without the shim, and the log can be read and holds what each context did.
. "$(dirname "$0")/../fixtures/e2e.sh"

# A library that uses its allocator and mmap while it comes and goes, and libraries that want 512 bytes of static TLS each.
gcc -shared -fPIC -x c -o plugin.so - <<'end' || skip "no compiler"
#include <stdlib.h>
#include <sys/mman.h>
static __thread char own[64];
static void* kept;
__attribute__((constructor)) static void begin(void) { kept = malloc(5000); own[1] = 1; }
__attribute__((destructor)) static void end(void) { free(kept); }
int plug(void) {
  void* memory = mmap(NULL, 1 << 16, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return kept && own[1] && memory != MAP_FAILED && munmap(memory, 1 << 16) == 0;
}
end
tls_bytes=512 libraries=20
mkdir tls
gcc -shared -fPIC -ftls-model=initial-exec -x c -o tls/tls0.so - <<end
static __thread char own[$tls_bytes];
char* get(void) { return own; }
end
for ((i = 1; i < libraries; i++)); do cp tls/tls0.so tls/tls$i.so; done

# records LOG OP: sizes in pages of the mappings, and how often
records() { ovc show "$1" --op "$2" 2>show.err >show.out || (($? == 1)) || fail "ovc show $1"; }
mapped() { grep -cE "mmap\(NULL, $(($1 * 4096))," show.out || :; }
wanted() {
  local name=$1 pages=$2 made=$3
  (($(mapped "$pages") == made)) || fail "$name: $(mapped "$pages") mappings of $pages pages in the log, $made made"
}

timeout 100 moments ./plugin.so >plain.out 2>plain.err || fail "moments, without the shim: exit status $?"
! grep -v ' ok$' plain.out || fail "without the shim"
moments tls tls $libraries >plain.tls
wraps_malloc >plain.wraps
for internals in 0 1; do
  export OVCSHIM_LIBC_INTERNALS=$internals OVCSHIM_EVENTS_SIZE=64M
  log=$work/a$internals.ovc
  under "$log" timeout 100 moments ./plugin.so >shim.out 2>shim.err || { cat shim.out >&3; fail "moments: exit status $?"; }
  same plain.out shim.out "moments, OVCSHIM_LIBC_INTERNALS=$internals"
  [[ $(wc -l <shim.err) == 1 ]] || { cat shim.err >&3; fail "messages"; }
  ovc stats "$log" >stats.out || (($? == 1)) || fail "ovc stats"

  signals=$(sed -n 's/^storm: .* \([0-9]*\) signals.*/\1/p' shim.err)
  cat shim.err
  # The contexts, in the order of enum Pages; 1001 is the resolver's, before the shim itself is initialised.
  records "$log" mmap
  for row in "resolver 1001 0" "preinit_array 1002 1" "constructor 1003 1" "signal handler 1004 1" "small handler 1005 1" "crash handler 1006 1" \
    "storm 1007 $signals" "vfork child 1008 1" "end of thread 1009 1" "end of key 1010 4" "coroutine 1011 20" "smallest thread 1012 1" \
    "atexit 1013 1" "on_exit 1014 1" "destructor 1015 1" "forked among threads 1016 50"; do
    made=${row##* } row=${row% *}
    wanted "${row% *}" "${row##* }" "$made"
  done
  under "$work/tls$internals.ovc" moments tls tls $libraries >shim.tls
  same plain.tls shim.tls "libraries with static TLS: as many must load"
  under "$work/wraps$internals.ovc" wraps_malloc >shim.wraps
  same plain.wraps shim.wraps "wraps_malloc"
done
