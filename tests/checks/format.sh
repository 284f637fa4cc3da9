#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Is the C and C++ code laid out as .clang-format says? `--write` lays it out. The column at which a comment behind code
# starts is free: tables are aligned by hand, and clang-format 14 has no way to leave that alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
clang_format=$(command -v clang-format-14 || command -v clang-format) || { echo "skipped: no clang-format"; exit 77; }
mapfile -t files < <(git ls-files -co --exclude-standard -- '*.h' '*.c' '*.cc')

if [[ ${1-} == --write ]]; then
  "$clang_format" -i "${files[@]}"
  exit
fi
one_space_before_comments() { sed -E 's|([^ ]) +//|\1 //|'; }
bad=0
for file in "${files[@]}"; do
  diff -u --label "$file" --label "$file as it should be" <(one_space_before_comments <"$file") \
    <("$clang_format" "$file" | one_space_before_comments) || bad=$((bad + 1))
done
echo "${#files[@]} files looked at, $bad not as .clang-format says"
((bad == 0))
