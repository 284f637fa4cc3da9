#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A log that the shim wrote on aarch64 (tests/kernels/aarch64.sh: fork_doubles, refused for want of about 400 kB in mode 2) is read
# here as it is there, whatever this machine is: what differs between the two stands in the log.
. "$(dirname "$0")/../fixtures/e2e.sh"
command -v xz >/dev/null || skip "no xz"
xz -dc "$source_dir/tests/old_logs/aarch64.ovc.xz" >aarch64.ovc

exits 1 ovc why --json aarch64.ovc >why.json
jq -e '.verdicts | length == 1 and (.[0] | .op == "fork" and .errno == "ENOMEM" and .cause == "commit-limit" and
  .charge.kb == 131560 and .would_pass.mode0 and .would_pass.mode1)' why.json >/dev/null || { cat why.json; fail "the verdict"; }
ovc why aarch64.ovc >told || (($? == 1))
finds '^  short by +880 kB  \(the kernel.s own counter may be off by 1,912\)' told
finds '^  charge +131,560 kB over 14 mappings; refused at the 3rd, ffff[0-9a-f]{8} \(131,072 kB, anonymous\)' told
finds '^  asked by +(main|fork_doubles\+0x[0-9a-f]+) <- ' told
exits 0 ovc stats aarch64.ovc >told
finds '^host +Linux 6.1.0-50-cloud-arm64,' told
finds 'in libc +system calls that libc makes itself are not recorded: the code of this libc is not known to the shim' told
exits 1 ovc forks --json aarch64.ovc >told
exits 0 ovc maps aarch64.ovc >told
finds '^charged +262,632 kB of private memory' told
exits 1 ovc show --json aarch64.ovc >told
for format in json csv sqlite perfetto folded openmetrics; do ovc export --to $format -o exported.$format aarch64.ovc || fail "export to $format"; done
ovc report -o report.html aarch64.ovc || (($? == 1)) || fail "report"

# A third architecture is no known one: FileHeader::machine.
printf '\xf3' | dd of=aarch64.ovc bs=1 seek=24 conv=notrunc status=none
exits 2 ovc why aarch64.ovc >told 2>&1
finds '^ovc: aarch64.ovc: .*another architecture \(ELF machine 243\); this ovc reads logs of x86-64 and aarch64$' told
