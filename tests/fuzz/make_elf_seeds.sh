#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Makes the seeds of the harness `elf` anew: make_elf_seeds.sh FOLDER
set -euo pipefail
source=$(dirname "$0")/elf_seed.c
# shellcheck disable=SC2054  # the commas are the linker's
options=(-O1 -fpie -nostdlib -static-pie -fno-stack-protector -fcf-protection=none -fasynchronous-unwind-tables
  -Wl,--build-id=0x6f766366757a7a01 -Wl,--eh-frame-hdr -Wl,-z,noseparate-code -Wl,-Ttext-segment=0 -Wl,--section-start=.text=0x1000
  "-ffile-prefix-map=$PWD=/src/ovcshim")  # no folder of this machine
gcc -g "${options[@]}" -o "$1/gcc_debug" "$source"
clang -gdwarf-4 "${options[@]}" -o "$1/clang_debug" "$source"
gcc "${options[@]}" -o "$1/symbols" "$source"
gcc -s "${options[@]}" -o "$1/stripped" "$source"
gcc -g -gz "${options[@]}" -o "$1/compressed" "$source"
