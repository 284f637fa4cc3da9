#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Does each file have a home? The top level is fixed, no file is empty, and a source has at most 400 lines (a specification may have more).
set -euo pipefail
cd "$(dirname "$0")/../.."
git rev-parse --git-dir >/dev/null 2>&1 || { echo "skipped: not a clone"; exit 77; }
bad=0
complain() { echo "$*"; bad=1; }
mapfile -t files < <(git ls-files)

for top in $(printf '%s\n' "${files[@]%%/*}" | sort -u); do
  case $top in
    CMakeLists.txt | README.md | LICENSE | examples | shim | tests | tools | .ci | .clang-format | .clang-tidy | .gitignore | .shellcheckrc) ;;
    *) complain "$top is not of the top level" ;;
  esac
done
for file in "${files[@]}"; do
  [[ -e $file ]] || continue
  [[ -s $file || $file == */.gitkeep ]] || complain "$file is empty"
  case $file in
    shim/format/log_format.h) ;;
    *.cc | *.h | *.c | *.S | *.sh | *.py)
      lines=$(wc -l <"$file")
      ((lines <= 400)) || complain "$file has $lines lines"
      ;;
  esac
done
echo "${#files[@]} files looked at"
exit "$bad"
