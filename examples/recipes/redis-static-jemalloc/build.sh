#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A redis-server as upstream and many images have it: with jemalloc in the program itself, under names that begin with je_. Built
# from Debian's own source package below DIR, without root; it takes minutes, needs dpkg-dev, and ends as DIR/redis-server.
#   build.sh DIR
# What the shim sees of it, beside what it sees of Debian's own redis-server (tests/recipes/static_jemalloc.sh):
#   fork, its cause, charge and mapping    as with Debian's
#   mmap, munmap, madvise, mprotect        as with Debian's: je_malloc asks for memory through libc's functions
#   malloc, free of redis                  not: je_malloc is an ordinary function of the program
#   malloc, free of libc and libraries     yes: glibc's allocator serves them beside jemalloc
set -euo pipefail
target=${1:?usage: build.sh DIR}
mkdir -p "$target"
cd "$target"
[[ ! -x redis-server ]] || exit 0

# The package lists of the sources, in a folder of our own: the system's stay as they are.
mkdir -p lists/partial
# shellcheck disable=SC2016  # for apt-get
apt-get indextargets --format 'deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | sort -u >sources.list
apt=(apt-get -q -o Dir::Etc::SourceList="$PWD/sources.list" -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$PWD/lists"
  -o Dir::Cache::srcpkgcache= -o Dir::Cache::pkgcache= -o APT::Sandbox::User=)
"${apt[@]}" update
"${apt[@]}" --download-only source redis
rm -rf source
dpkg-source -x redis_*.dsc source

# Debian's patch asks `#if USE_SYSTEM_JEMALLOC == yes`, which to the preprocessor is 0 == 0; as 1 == 0 it means what it says.
make -C source/src -j"$(nproc)" MALLOC=jemalloc REDIS_CFLAGS=-DUSE_SYSTEM_JEMALLOC=1 redis-server
cp source/src/redis-server .
rm -rf source lists redis_* sources.list
