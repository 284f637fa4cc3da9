#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The tables of tests/kernels/README.md, from the results that run.sh and aarch64.sh keep: table.py MACHINES_TXT RESULTS_DIR
[README [MARK]]. A cell is right / unknown / wrong, summed over the machines on which the part ran. With README the table is put
between its marks: `kernels`, those of x86-64, or `aarch64`."""
import collections
import pathlib
import re
import sys

PARTS = {  # part: what it is
    "rules": "the kernel's rules in modes 0, 1, 2 (assertions)",
    "unwind": "the shim's stacks against libgcc's, objects, reading of memory (assertions of `tests/unit/unwind`)",
    "ledger": "the ledger's property test (assertions)",
    "cases": "situations of `tests/cases`",
    "limits": "limits of the whole machine and of groups (`guest/limits.sh`)",
    "memory": "memory groups: will the save survive, who was killed for whose limit (`e2e/save_groups.sh`, `e2e/group_kills.sh`)",
    "selinux": "SELinux in force (`guest/selinux.sh`)",
    "reasons": "reasons for an errno (`e2e/errno_reasons.sh`)",
    "ends": "`e2e/ordinary_ends.sh`",
    "border": "`e2e/check_border.sh`",
    "rehearsal": "`e2e/rehearsal_is_real.sh`",
    "capture": "`e2e/capture.sh`",
    "maps": "`e2e/maps_sbrk.sh`",
    "groups": "`e2e/groups.sh` (control groups 1)",
    "hostile": "scripts of `tests/hostile`",
}


def machines(path):
    """Rows of machines.txt by name."""
    lines = [line.split() for line in open(path) if not line.startswith("#")]
    return {fields[0]: fields[1:] for fields in lines if fields}


def results(folder, mark):
    """Of one of the two tables: (kernel, release, machine, slice, [(part, status, seconds, figures)], ended) of each boot that is kept, the newest last."""
    for out in sorted(folder.glob("*/*"), key=lambda out: out.stat().st_mtime):
        if out.parent.name.endswith("-arm64") != (mark == "aarch64"):
            continue
        text = (out / "parts").read_text() if (out / "parts").exists() else ""
        parts = [tuple(line.split("\t")) for line in text.splitlines()]
        console = (out / "console").read_text(errors="replace") if (out / "console").exists() else ""
        release = (out / "release").read_text().strip() if (out / "release").exists() else out.parent.name
        name, _, part_of = out.name.partition("@")
        yield out.parent.name, release, name.split("+")[0], part_of, parts, "ovc-kernel: end" in console


def table(known, folder, mark):
    """Lines of Markdown."""
    lines = []
    newest = {}  # by part, kernel, machine and slice: the figures
    skipped, ended_early, releases, ran = collections.defaultdict(set), [], {}, set()
    for kernel, release, machine, part_of, parts, ended in results(folder, mark):
        releases[kernel] = release
        ran.add(machine)
        if not ended:
            ended_early.append(f"{release} on `{machine}`")
        for part, _, _, figures in parts:
            for other in [key for key in newest if key[:3] == (part, kernel, machine) and not (part_of and key[3])]:
                del newest[other]  # a whole run stands for its slices, and slices for a whole run before them
            newest[part, kernel, machine, part_of] = figures
    sums = collections.defaultdict(lambda: [0, 0, 0])
    for (part, kernel, _, _), figures in newest.items():
        if figures.startswith("skipped "):
            skipped[part, kernel].add(figures.removeprefix("skipped "))
        else:
            sums[part, kernel] = [a + int(b) for a, b in zip(sums[part, kernel], figures.split())]
    order = sorted(releases, key=lambda k: [int(n) for n in re.findall(r"\d+", releases[k])])
    lines.append("| right / unknown / wrong | " + " | ".join(f"Linux {releases[k]}" for k in order) + " |")
    lines.append("| --- |" + " --- |" * len(order))
    notes = []
    for part, what in PARTS.items():
        cells = []
        for kernel in order:
            if (part, kernel) in sums:
                cells.append(" / ".join(f"{n:,}" for n in sums[part, kernel]))
            elif (part, kernel) in skipped:
                cells.append("skipped")
                notes += [f"`{part}` on {releases[kernel]}: {why}" for why in sorted(skipped[part, kernel])]
            else:
                cells.append("")
        if any(cells):
            lines.append(f"| {what} | " + " | ".join(cells) + " |")
    lines.append("")
    for note in notes:
        lines.append(f"- skipped, {note}")
    for boot in ended_early:
        lines.append(f"- did not come to its end: {boot}")
    if notes or ended_early:
        lines.append("")
    if not ran & known.keys():
        return lines
    lines.append("| machine | processors | MiB | swap | control groups | mode | huge pages | kernel parameters | parts |")
    lines.append("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, fields in known.items():
        if name in ran:
            _, cpus, mib, swap, groups, mode, thp, parameters, _, parts = fields
            lines.append(f"| {name} | {cpus} | {mib} | {swap} | {groups} | {mode} | {thp} | {parameters} | {parts.replace(',', ', ')} |")

    return lines


def write(readme, mark, lines):
    text = readme.read_text()
    head, rest = text.split(f"<!-- {mark} -->\n")
    tail = rest.split(f"<!-- /{mark} -->")[1]
    readme.write_text(head + f"<!-- {mark} -->\n" + "\n".join(lines) + f"\n<!-- /{mark} -->" + tail)


def main():
    mark = sys.argv[4] if len(sys.argv) > 4 else "kernels"
    lines = table(machines(sys.argv[1]), pathlib.Path(sys.argv[2]), mark)
    if len(sys.argv) > 3:
        write(pathlib.Path(sys.argv[3]), mark, lines)
    else:
        print("\n".join(lines))


if __name__ == "__main__":
    main()
