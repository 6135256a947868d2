"""The train's code. At each station it adds the local patients to an aggregate that travels in pht_results.

No row leaves a station: only the number of patients, sums and a histogram do. Sums are of whole numbers, so that mean
and standard deviation over all stations come out as if the data had been in one place.
"""
import csv
import json
import math
import os
from pathlib import Path

query = json.loads(Path("pht_train/query.json").read_text())
aggregate_file = Path("pht_results/aggregate.json")

with open(os.environ["PHT_DATA"], newline="") as data:
    values = [int(row[query["column"]]) for row in csv.DictReader(data)]

if aggregate_file.exists():
    aggregate = json.loads(aggregate_file.read_text())
else:
    aggregate = {"column": query["column"], "stations": 0, "count": 0, "sum": 0, "sum_of_squares": 0, "histogram": {}}

aggregate["stations"] += 1
aggregate["count"] += len(values)
aggregate["sum"] += sum(values)
aggregate["sum_of_squares"] += sum(value * value for value in values)
for value in values:
    low = value // query["bin_width"] * query["bin_width"]
    aggregate["histogram"][str(low)] = aggregate["histogram"].get(str(low), 0) + 1

count, total = aggregate["count"], aggregate["sum"]
aggregate["mean"] = total / count
aggregate["std"] = math.sqrt((count * aggregate["sum_of_squares"] - total * total) / (count * count))

aggregate_file.write_text(json.dumps(aggregate, indent=2, sort_keys=True) + "\n")

bars = [f"{int(low):4} {'#' * n} {n}" for low, n in sorted(aggregate["histogram"].items(), key=lambda bin: int(bin[0]))]
title = f"{query['column']}, {count} patients at {aggregate['stations']} station(s)"
Path("pht_results/histogram.txt").write_text("\n".join([title, *bars]) + "\n")
