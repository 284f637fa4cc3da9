# SPDX-License-Identifier: MIT
"""Line charts of how cost grows: python3 charts.py FOLDER writes SVG files beside the samples that run.sh has put there."""
import math
import sys

from samples import Samples

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 400, 76, 20, 44, 56
COLOURS = ("#777777", "#c0392b", "#2471a3", "#1e8449")

# file, title, x axis, y axis, [(line, prefix of cases, side, metric, factor)]
CHARTS = [
    ("threads", "One malloc+free pair", "threads", "ns of CPU time a pair",
     [("native", "pair.", "native", "cpu", 1), ("recorded", "pair.", "recorded", "cpu", 1)]),
    ("processes", "A fork, by children alive", "forked children", "us a fork",
     [("native", "children.", "native", "fork", 1), ("recorded", "children.", "recorded", "fork", 1)]),
    ("processes_pair", "One malloc+free pair in each of many processes with one log", "forked children", "ns of CPU time a pair",
     [("native", "children.", "native", "cpu", 1), ("recorded", "children.", "recorded", "cpu", 1)]),
    ("mappings", "A fork, granted and refused, by mappings", "mappings of the process", "ms",
     [("granted, native", "mappings.", "native", "fork", 1e-3), ("granted, recorded", "mappings.", "recorded", "fork", 1e-3),
      ("refused, native", "refused.", "native", "fork", 1e-3), ("refused, recorded with its list of mappings", "refused.", "recorded", "fork", 1e-3)]),
    ("log_time", "Reading a full log", "MiB of log", "s",
     [("ovc stats", "log.", "stats", "wall", 1e-3), ("ovc why", "log.", "why", "wall", 1e-3), ("ovc show", "log.", "show", "wall", 1e-3)]),
    ("log_memory", "Memory of ovc", "MiB of log", "MiB resident at most",
     [("ovc stats", "log.", "stats", "rss", 1 / 1024), ("ovc why", "log.", "why", "rss", 1 / 1024), ("ovc show", "log.", "show", "rss", 1 / 1024)]),
]


def line_of(samples, prefix, side, metric, factor):
    points = [(float(case[len(prefix):]), samples.best(case, s, m) * factor)
              for case, s, m in samples.values if case.startswith(prefix) and case[len(prefix):].isdigit() and (s, m) == (side, metric)]
    return sorted(points)


def ticks(low, high, logarithmic):
    if logarithmic:
        return [10.0 ** e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    step = 10.0 ** math.floor(math.log10(high / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if high / (step * factor) <= 6)
    return [step * i for i in range(int(high / step) + 2)]


def scale(marks, logarithmic, start, end):
    def place(value):
        if logarithmic:
            low, high = math.log10(marks[0]), math.log10(marks[-1])
            return start + (end - start) * (math.log10(max(value, marks[0])) - low) / (high - low)
        return start + (end - start) * value / marks[-1]
    return place


def text(x, y, words, anchor="middle", extra=""):
    words = words.replace("&", "&amp;").replace("<", "&lt;")
    return '<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>' % (x, y, anchor, extra, words)


def chart(title, x_name, y_name, lines, note):
    xs = sorted({x for _, points in lines for x, _ in points})
    ys = [y for _, points in lines for _, y in points if y > 0]
    wide = max(ys) / min(ys) > 30
    y_marks = ticks(min(ys), max(ys) * (1 if wide else 1.3), wide)  # room for the names
    y_at = scale(y_marks, wide, HEIGHT - BOTTOM, TOP)
    first, last = math.log10(xs[0]), math.log10(xs[-1])

    def x_at(x):
        return LEFT + 12 + (WIDTH - RIGHT - LEFT - 24) * ((math.log10(x) - first) / (last - first) if last > first else 0.5)

    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">' % (WIDTH, HEIGHT),
           '<rect width="%d" height="%d" fill="white"/>' % (WIDTH, HEIGHT), text(WIDTH / 2, 20, title, extra=' font-size="15"')]
    for mark in y_marks:
        out.append('<path d="M%d %.1fH%d" stroke="#dddddd"/>' % (LEFT, y_at(mark), WIDTH - RIGHT))
        out.append(text(LEFT - 6, y_at(mark) + 4, "%g" % mark, "end"))
    for x in xs:
        out.append(text(x_at(x), HEIGHT - BOTTOM + 18, "{:,.0f}".format(x)))
    out.append(text(WIDTH / 2, HEIGHT - BOTTOM + 36, x_name))
    out.append(text(WIDTH - RIGHT, HEIGHT - 6, note, "end", ' font-size="9" fill="#777777"'))
    out.append(text(16, HEIGHT / 2, y_name, extra=' transform="rotate(-90 16 %d)"' % (HEIGHT // 2)))
    for i, (name, points) in enumerate(lines):
        colour = COLOURS[i % len(COLOURS)]
        places = ["%.1f,%.1f" % (x_at(x), y_at(y)) for x, y in points]
        out.append('<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>' % (" ".join(places), colour))
        out += ['<circle cx="%s" cy="%s" r="3" fill="%s"/>' % (*place.split(","), colour) for place in places]
        out.append(text(LEFT + 14, TOP + 14 + 16 * i, name, "start", ' fill="%s"' % colour))
    return "\n".join(out + ["</svg>", ""])


def main(folder):
    samples = Samples(folder)
    note = "least of %s rounds; %s" % (samples.machine["rounds"], samples.machine["cpu"])
    for name, title, x_name, y_name, wanted in CHARTS:
        lines = [(line[0], line_of(samples, *line[1:])) for line in wanted]
        lines = [(label, points) for label, points in lines if any(y > 0 for _, y in points)]
        if lines:
            with open("%s/%s.svg" % (folder, name), "w", encoding="utf-8") as file:
                file.write(chart(title, x_name, y_name, lines, note))


main(sys.argv[1])
