"""Runs the benchmarks and reports them: a table of medians, ratios, results.json and results.svg.

A benchmark is called WHAT/PEER. The ratio WHAT is how many times as many messages a second decouple makes as its main
rival there; WHAT_vs_PEER the same for the others. Each median is of runs that took turns with those of the peers.
"""

import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile

OURS = "decouple"

# What the chart shows: the ratio's name, what is measured, and the rival.
CHART = [
    ("cycle_1thread", "cycle_1thread", "moodycamel"),
    ("cycle_1thread_batch10", "cycle_1thread_batch10", "moodycamel_tokens"),
    ("cycle_1p1c", "cycle_1p1c", "moodycamel"),
    ("cycle_1p1c_batch10", "cycle_1p1c_batch10", "moodycamel_tokens"),
    ("cycle_2p2c", "cycle_2p2c", "moodycamel"),
    ("backlog_1m", "backlog_1m", "moodycamel"),
    ("cycle_vs_handwritten", "cycle_1p1c", "handwritten"),
    ("fanout_64", "fanout_64", "moodycamel"),
    ("fifo_100k_groups", "fifo_100k_groups", "handwritten"),
    ("fifo_100k_groups_reliable", "fifo_100k_groups", "handwritten_reliable"),
    ("stream_put", "stream_put", "mutex_log"),
    ("stream_read", "stream_read", "mutex_log"),
    ("redis_streams", "redis_streams", "redis"),
]


def run(binary, names):
    """Returns the medians, in messages a second, by what is measured and peer."""
    quick = names == ["--quick"]
    if quick:
        pairs = {(what, peer) for _, what, rival in CHART for peer in (OURS, rival)}
        wanted = "^(" + "|".join(f"{what}/{peer}" for what, peer in sorted(pairs)) + ")/"
    else:
        wanted = "^(" + "|".join(re.escape(name) for name in names) + ")" if names else "."
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        subprocess.run(
            [
                binary,
                f"--benchmark_filter={wanted}",
                "--benchmark_enable_random_interleaving=true",
                f"--benchmark_repetitions={7 if quick else 9}",
                f"--benchmark_min_time={0.02 if quick else 0.1}",
                f"--benchmark_out={out.name}",
                "--benchmark_out_format=json",
            ],
            check=True,
            stdout=sys.stderr,
        )
        report = json.load(open(out.name))
    runs = {}
    for one in report["benchmarks"]:
        if one.get("run_type") != "iteration":
            continue
        if one.get("error_occurred"):
            sys.exit(f"{one['name']}: {one['error_message']}")
        what, peer = one["run_name"].split("/")[:2]
        runs.setdefault((what, peer), []).append(one["items_per_second"])
    return {name: statistics.median(rates) for name, rates in runs.items()}


def ratios_of(medians):
    """All ratios by name, those of the chart first."""
    ratios = {}
    shown = set()
    for name, what, rival in CHART:
        if (what, OURS) in medians and (what, rival) in medians:
            ratios[name] = medians[what, OURS] / medians[what, rival]
            shown.add((what, rival))
    for what, peer in medians:
        if peer != OURS and (what, OURS) in medians and (what, peer) not in shown:
            ratios[f"{what}_vs_{peer}"] = medians[what, OURS] / medians[what, peer]
    return ratios


def print_table(medians):
    print(f"{'':44} {'ns a message':>14} {'to decouple':>12}")
    for what in dict.fromkeys(what for what, _ in medians):
        print(what)
        of_this = {peer: rate for (measured, peer), rate in medians.items() if measured == what}
        for peer, rate in sorted(of_this.items(), key=lambda item: -item[1]):
            ours = of_this.get(OURS)
            to_ours = f"{rate / ours:12.2f}" if ours else ""
            print(f"    {peer:40} {1e9 / rate:14.1f} {to_ours}")


def draw(ratios, path):
    """Bars on a logarithmic axis: to the right of 1, decouple is faster."""
    bars = [(name, what, rival, ratios[name]) for name, what, rival in CHART if name in ratios]
    width, left, line, top = 860, 330, 26, 40
    low = min([0.1] + [ratio for *_, ratio in bars])
    high = max([10.0] + [ratio for *_, ratio in bars])

    def x(ratio):
        share = (math.log(ratio) - math.log(low)) / (math.log(high) - math.log(low))
        return left + share * (width - left - 60)

    height = top + line * len(bars) + 30
    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{x(1):.0f}" y="18" text-anchor="middle" fill="#444">as fast as the rival</text>',
        f'<line x1="{x(1):.1f}" y1="26" x2="{x(1):.1f}" y2="{height - 24}" stroke="#444"/>',
    ]
    for i, (name, _, rival, ratio) in enumerate(bars):
        y = top + i * line
        begin, end = sorted((x(1), x(ratio)))
        colour = "#2a7f4f" if ratio >= 1 else "#b8632b"
        label = x(ratio) + 6 if ratio >= 1 else x(1) + 6
        svg += [
            f'<text x="{left - 90}" y="{y + 13}" text-anchor="end">{name} '
            f'<tspan fill="#888">({rival})</tspan></text>',
            f'<rect x="{begin:.1f}" y="{y}" width="{max(1, end - begin):.1f}" height="18" fill="{colour}"/>',
            f'<text x="{label:.1f}" y="{y + 13}">{ratio:.2f}</text>',
        ]
    svg += [
        f'<text x="{left}" y="{height - 8}" fill="#888">messages a second, times the rival\'s; '
        "logarithmic; medians of runs in turn</text>",
        "</svg>",
    ]
    with open(path, "w") as out:
        out.write("\n".join(svg) + "\n")


def main():
    binary, names = sys.argv[1], sys.argv[2:]
    wrong = [name for name in names if name.startswith("-") and names != ["--quick"]]
    if wrong:
        sys.exit(f"{wrong[0]}: allowed are --quick alone, or names of benchmarks")
    medians = run(binary, names)
    ratios = ratios_of(medians)
    print_table(medians)
    for name, ratio in ratios.items():
        print(f"ratio {name} {ratio:.2f}")
    if names not in ([], ["--quick"]):
        return  # a part is no result
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "results.json"), "w") as out:
        results = {
            "ns_per_message": {f"{what}/{peer}": round(1e9 / rate, 2) for (what, peer), rate in medians.items()},
            "ratios": {name: round(ratio, 3) for name, ratio in ratios.items()},
        }
        json.dump(results, out, indent=2)
        out.write("\n")
    draw(ratios, os.path.join(here, "results.svg"))


main()
