"""Runs the benchmarks, prints a table of medians and ratios, and records them (figures.py).

A benchmark is called WHAT/PEER. The ratio WHAT is how many times as many messages a second decouple makes as its main
rival there; WHAT_vs_PEER the same for the others. Each median is of runs that took turns with those of the peers.
"""

import json
import re
import statistics
import subprocess
import sys
import tempfile

import figures

OURS = "decouple"


def run(binary, names):
    """Returns the medians, in messages a second, by what is measured and peer."""
    quick = names == ["--quick"]
    if quick:
        pairs = {(bar.what, peer) for bar in figures.CHART for peer in (OURS, bar.peer)}
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
    for bar in figures.CHART:
        if (bar.what, OURS) in medians and (bar.what, bar.peer) in medians:
            ratios[bar.name] = medians[bar.what, OURS] / medians[bar.what, bar.peer]
            shown.add((bar.what, bar.peer))
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


def main():
    binary, names = sys.argv[1], sys.argv[2:]
    recorded = "--no-record" not in names
    names = [name for name in names if name != "--no-record"]
    wrong = [name for name in names if name.startswith("-") and names != ["--quick"]]
    if wrong:
        sys.exit(f"{wrong[0]}: allowed are --quick alone, or names of benchmarks, and --no-record beside either")
    medians = run(binary, names)
    ratios = ratios_of(medians)
    print_table(medians)
    for name, ratio in ratios.items():
        print(f"ratio {name} {ratio:.2f}")
    if not recorded or names not in ([], ["--quick"]):
        return  # some benchmarks alone are no result
    nanos = {f"{what}/{peer}": 1e9 / rate for (what, peer), rate in medians.items()}
    figures.record(ratios, nanos, complete=names == [])
    figures.write()


main()
