# SPDX-License-Identifier: MIT
"""What run.sh measured: samples.tsv as lists of values by case, side and metric, with their best and median."""
import statistics

BIGGER_IS_BETTER = ("tps", "rate")


class Samples:
    def __init__(self, folder):
        self.values, self.reasons = {}, {}
        with open(folder + "/samples.tsv", encoding="utf-8") as lines:
            for line in lines:
                case, side, metric, value = line.rstrip("\n").split("\t")
                if metric == "reason":
                    self.reasons[case, side] = value
                else:
                    self.values.setdefault((case, side, metric), []).append(float(value))
        with open(folder + "/machine.txt", encoding="utf-8") as lines:
            self.machine = dict(line.rstrip("\n").split(" ", 1) for line in lines)

    def has(self, case, side, metric):
        return (case, side, metric) in self.values

    def best(self, case, side, metric):
        values = self.values[case, side, metric]
        return max(values) if metric in BIGGER_IS_BETTER else min(values)

    def median(self, case, side, metric):
        return statistics.median(self.values[case, side, metric])

    def rounds(self, case, side, metric):
        return len(self.values[case, side, metric])
