"""Keeps what was measured in results.json, and writes from it the tables of bench/README.md, the picture, and the
figures of README.md, so that nobody types one. By itself (`bench/run figures`) it writes them anew, and measures
nothing.

results.json has one entry a machine, the one measured last at the end. In an entry, "chart" has what the picture shows
and "all" what a run of all benchmarks gave; both have one value a run. Runs of the same commit by the same compiler add
up; the first run of another commit, or of code that is not committed, begins anew.
"""

import datetime
import json
import math
import os
import pathlib
import re
import statistics
import subprocess
import typing

BENCH = pathlib.Path(__file__).resolve().parent
ROOT = BENCH.parent
RESULTS = BENCH / "results.json"


class Bar(typing.NamedTuple):
    name: str  # of the ratio
    what: str  # is measured
    peer: str  # it is compared with
    label: str  # for readers
    rival: str  # the peer, for readers


CHART = [
    Bar("cycle_1thread", "cycle_1thread", "moodycamel", "one thread, one at a time", "moodycamel"),
    Bar("cycle_1thread_batch10", "cycle_1thread_batch10", "moodycamel_tokens", "one thread, in tens",
        "moodycamel, tokens, bulk"),
    Bar("cycle_1p1c", "cycle_1p1c", "moodycamel", "one sender, one receiver", "moodycamel"),
    Bar("cycle_1p1c_batch10", "cycle_1p1c_batch10", "moodycamel_tokens", "one sender, one receiver, in tens",
        "moodycamel, tokens, bulk"),
    Bar("cycle_2p2c", "cycle_2p2c", "moodycamel", "two senders, two receivers", "moodycamel"),
    Bar("backlog_1m", "backlog_1m", "moodycamel", "a million sent, then received", "moodycamel"),
    Bar("cycle_vs_handwritten", "cycle_1p1c", "handwritten", "one sender, one receiver", "a reliable queue by hand"),
    Bar("fanout_64", "fanout_64", "moodycamel", "a topic into 64 queues, each delivery", "64 of moodycamel's"),
    Bar("fifo_100k_groups", "fifo_100k_groups", "handwritten", "FIFO, 100 000 groups", "by hand: order alone"),
    Bar("fifo_100k_groups_reliable", "fifo_100k_groups", "handwritten_reliable", "FIFO, 100 000 groups",
        "by hand: as reliable"),
    Bar("stream_put", "stream_put", "mutex_log", "a stream, one puts and one follows", "a vector behind a mutex"),
    Bar("stream_read", "stream_read", "mutex_log", "a stream, read while another puts", "a vector behind a mutex"),
    Bar("redis_streams", "redis_streams", "redis", "one thread, in tens", "Redis Streams, Unix socket"),
]

# What the project's README says in numbers; the rest is in the picture.
FIRST_FIGURE = ("send, receive and delete on one thread", "cycle_1thread/decouple")
OTHER_FIGURES = [
    ("that, beside moodycamel's queue, which only enqueues and dequeues", "cycle_1thread"),
    ("one sender and one receiver, beside a reliable queue written by hand", "cycle_vs_handwritten"),
    ("a FIFO queue, 100 000 groups, beside one by hand that does as much", "fifo_100k_groups_reliable"),
    ("a stream, one puts and one follows, beside a vector behind a mutex", "stream_put"),
]


# --- what was measured, where, of which code


def output_of(*command):
    """What the command prints, or nothing if it fails."""
    try:
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def this_machine():
    """What tells machines apart. Virtual ones have vague names; family, model and stepping are those of the core."""
    info = {}
    for line in open("/proc/cpuinfo"):
        key, _, value = line.partition(":")
        info.setdefault(key.strip(), value.strip())
    return {
        "processor": info.get("model name", "unknown"),
        "family": info.get("cpu family", ""),
        "model": info.get("model", ""),
        "stepping": info.get("stepping", ""),
        "cores": os.cpu_count(),
        "virtual": "hypervisor" in info.get("flags", "").split(),
    }


def this_code():
    """The last commit that touched what is measured; with a + if it was changed since."""
    measured = ["include", "bench/*.cc", "bench/*.h", "bench/peers", "bench/CMakeLists.txt"]
    commit = output_of("git", "log", "-1", "--format=%h", "--", *measured) or "unknown"
    return commit + ("+" if output_of("git", "status", "--porcelain", "--", *measured) else "")


def add_run(old, ratios, nanos):
    """The old results and this run, if both are surely of the same code; else this run alone."""
    compiler = output_of("g++", "--version").split("\n")[0]
    code = {"commit": this_code(), "compiler": compiler, "kernel": os.uname().release}
    new = {"date": datetime.date.today().isoformat(), **code, "ratios": {}, "ns_per_message": {}}
    known = code["commit"] != "unknown" and not code["commit"].endswith("+")
    same = old is not None and known and all(old.get(key) == value for key, value in code.items())
    for part, digits, values in (("ratios", 3, ratios), ("ns_per_message", 2, nanos)):
        for name, value in values.items():
            new[part][name] = (old[part].get(name, []) if same else []) + [round(value, digits)]
    return new


def keep(results):
    text = json.dumps(results, indent=2)
    # A list of numbers takes one line.
    RESULTS.write_text(re.sub(r"\[([^][{}\"]*)\]", lambda found: "[" + " ".join(found[1].split()) + "]", text) + "\n")


def record(ratios, nanos, complete):
    """Adds a run on this machine to results.json. Complete: of all benchmarks, not of those in the chart alone."""
    results = json.loads(RESULTS.read_text())
    machine = this_machine()
    entry = next((one for one in results["machines"] if one["machine"] == machine), {"machine": machine})
    if entry in results["machines"]:
        results["machines"].remove(entry)
    shown = {bar.name for bar in CHART}
    pairs = {f"{bar.what}/{peer}" for bar in CHART for peer in ("decouple", bar.peer)}
    entry["chart"] = add_run(
        entry.get("chart"),
        {name: ratio for name, ratio in ratios.items() if name in shown},
        {name: nano for name, nano in nanos.items() if name in pairs},
    )
    if complete:
        entry["all"] = add_run(entry.get("all"), ratios, nanos)
    results["machines"].append(entry)
    keep(results)


# --- what is written from it


def number(value):
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{digits}f}".replace(",", " ")


def cell(values):
    """The median of the runs, and from where to where they went."""
    if not values:
        return ""
    text = number(statistics.median(values))
    return text if len(values) == 1 else f"{text} ({number(min(values))}–{number(max(values))})"


def name_of(machine):
    details = []
    if machine.get("family"):
        details.append(f"family {machine['family']}, model {machine['model']}")
    details.append(f"{machine['cores']} cores")
    if machine.get("virtual"):
        details.append("virtual")
    if machine.get("note"):
        details.append(machine["note"])
    return f"{machine['processor']}: {', '.join(details)}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def about_rows(parts, columns):
    """The rows that say of which code the figures of each machine are. `columns` come before those of the machines."""
    said = [("date", "date"), ("code of commit", "commit"), ("compiler", "compiler"), ("kernel", "kernel")]
    rows = [[label] + [""] * (columns - 1) + [part.get(key, "not recorded") for part in parts] for label, key in said]
    runs = [str(max(len(values) for values in part["ratios"].values())) for part in parts]
    return rows + [["runs"] + [""] * (columns - 1) + runs]


def chart_table(machines):
    head = ["what", "rival"] + [name_of(one["machine"]) for one in machines]
    parts = [one["chart"] for one in machines]
    rows = [[bar.label, bar.rival] + [cell(part["ratios"].get(bar.name)) for part in parts] for bar in CHART]
    return table(head, rows + about_rows(parts, 2))


def all_tables(machines):
    machines = [one for one in machines if "all" in one]
    if not machines:
        return "No run of all benchmarks has been recorded since figures are kept by machine."
    parts = [one["all"] for one in machines]
    names = [name_of(one["machine"]) for one in machines]
    ratios = sorted({name for part in parts for name in part["ratios"]})
    nanos = sorted({name for part in parts for name in part["ns_per_message"] if name.endswith("/decouple")})
    return "\n\n".join([
        "Ratios, by the benchmark's name and the peer's; without a peer, the rival is that of the table above:",
        table(["ratio"] + names, [[f"`{name}`"] + [cell(part["ratios"].get(name)) for part in parts] for name in ratios]
              + about_rows(parts, 1)),
        "Nanoseconds a message that decouple takes:",
        table(["benchmark"] + names, [[f"`{name.removesuffix('/decouple')}`"]
                                      + [cell(part["ns_per_message"].get(name)) for part in parts] for name in nanos]),
    ])


def five_figures(entry):
    part = entry["chart"]
    rows = [[FIRST_FIGURE[0], number(statistics.median(part["ns_per_message"][FIRST_FIGURE[1]])) + " ns"]]
    rows += [[label, number(statistics.median(part["ratios"][name])) + " ×"] for label, name in OTHER_FIGURES]
    return "\n".join([
        "![Messages a second, as a multiple of each rival's](bench/results.svg)",
        "",
        table(["measured", "figure"], rows),
        "",
        f"×: times as many messages a second as the rival. On {name_of(entry['machine'])}; {part['date']}.",
    ])


def draw(entry):
    """Bars on a logarithmic axis: to the right of 1, decouple is faster."""
    ratios = {name: statistics.median(values) for name, values in entry["chart"]["ratios"].items()}
    bars = [(bar, ratios[bar.name]) for bar in CHART if bar.name in ratios]
    width, left, line, top = 900, 440, 26, 40
    low = min([0.1] + [ratio for _, ratio in bars])
    high = max([10.0] + [ratio for _, ratio in bars])

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
    for i, (bar, ratio) in enumerate(bars):
        y = top + i * line
        begin, end = sorted((x(1), x(ratio)))
        colour = "#2a7f4f" if ratio >= 1 else "#b8632b"
        label = x(ratio) + 6 if ratio >= 1 else x(1) + 6
        svg += [
            f'<text x="{left - 10}" y="{y + 13}" text-anchor="end">{bar.label} '
            f'<tspan fill="#888">({bar.rival})</tspan></text>',
            f'<rect x="{begin:.1f}" y="{y}" width="{max(1, end - begin):.1f}" height="18" fill="{colour}"/>',
            f'<text x="{label:.1f}" y="{y + 13}">{number(ratio)}</text>',
        ]
    svg += [
        f'<text x="10" y="{height - 8}" fill="#888">messages a second, as a multiple of the rival\'s; logarithmic; '
        f"medians of runs in turn, {entry['chart']['date']}</text>",
        "</svg>",
    ]
    (BENCH / "results.svg").write_text("\n".join(svg) + "\n")


def replace(path, name, text):
    """Puts the text between the two comments of that name."""
    begin, end = f"<!-- {name}: written by bench/run -->", f"<!-- end of {name} -->"
    old = path.read_text()
    new, found = re.subn(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n\n{text}\n\n{end}", old,
                         flags=re.DOTALL)
    if found != 1:
        raise SystemExit(f"{path}: the comments {begin} and {end} must be there once, one after the other")
    path.write_text(new)


def write():
    machines = json.loads(RESULTS.read_text())["machines"]
    replace(BENCH / "README.md", "ratios", chart_table(machines))
    replace(BENCH / "README.md", "all benchmarks", all_tables(machines))
    replace(ROOT / "README.md", "figures", five_figures(machines[-1]))
    draw(machines[-1])


if __name__ == "__main__":
    write()
