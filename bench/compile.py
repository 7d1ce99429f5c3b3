"""Measures what the library costs a compiler: in processor time and memory, against a file that uses none of it.

    compile.py [--runs N] [--compiler clang++]            five small files, each as a user would write it
    compile.py headers [--runs N] [--compiler clang++]    every public header by itself

The reference is a file that includes Abseil's mutex and StatusOr, as most users of Abseil do anyway. The time is the
user time of the compiler and its child processes, not the wall time, so a busy machine disturbs it less. The files are
compiled in turn (A B C D A B C D …) and the median of N runs (3) counts.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = ROOT / "include"

REFERENCE = '#include "absl/status/statusor.h"\n#include "absl/synchronization/mutex.h"\n'
USE = """#include <decouple/standard_queue.h>

void Use() {
  decouple::StandardQueue<int> queue;
  queue.Send(1).IgnoreError(); for (auto& m : queue.Receive().value()) m.Delete().IgnoreError();
}
"""
SECOND_TYPE = """
void UseAnother() {
  decouple::StandardQueue<double> queue;
  queue.Send(1).IgnoreError(); for (auto& m : queue.Receive().value()) m.Delete().IgnoreError();
}
"""

# What is measured: its name, the source, and the file that it is compared with.
FILES = [
    ("compile_reference", REFERENCE, None),
    ("compile_include", "#include <decouple/standard_queue.h>\n", "compile_reference"),
    ("compile_use", USE, "compile_reference"),
    ("compile_second_type", USE + SECOND_TYPE, "compile_use"),
    ("compile_all", "#include <decouple/decouple.h>\n", "compile_reference"),
]


def compile_once(compiler, source, directory):
    """Returns the user seconds and the peak memory in MB of one compilation, and the object file's path."""
    path = os.path.join(directory, "one.cc")
    with open(path, "w") as out:
        out.write(source)
    compiled = os.path.join(directory, "one.o")
    command = [compiler, "-std=c++20", "-O1", "-isystem", str(INCLUDE), "-c", path, "-o", compiled]
    process = subprocess.Popen(command)
    # Of the driver and of all processes that it has waited for.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{compiler} failed on:\n{source}")
    return usage.ru_utime, usage.ru_maxrss / 1024, compiled


def text_bytes(object_file):
    """The machine code and read-only data in an object file, in bytes."""
    lines = subprocess.run(["size", object_file], check=True, capture_output=True, text=True).stdout.splitlines()
    return int(lines[1].split()[0])


class Measured:
    def __init__(self):
        self.seconds, self.memory, self.text = [], [], 0


def measure(compiler, sources, runs):
    """Compiles the named sources in turn, `runs` times. Returns what was measured, by name."""
    measured = {name: Measured() for name, _ in sources}
    with tempfile.TemporaryDirectory() as directory:
        # One compilation that does not count reads compiler and headers from the disk.
        compile_once(compiler, REFERENCE, directory)
        for _ in range(runs):
            for name, source in sources:
                seconds, memory, compiled = compile_once(compiler, source, directory)
                measured[name].seconds.append(seconds)
                measured[name].memory.append(memory)
                measured[name].text = text_bytes(compiled)
    return measured


def ratio_of(ours, other):
    return statistics.median(ours.seconds) / statistics.median(other.seconds)


def measure_files(compiler, runs):
    measured = measure(compiler, [(name, source) for name, source, _ in FILES], runs)
    for name, _, other in FILES:
        seconds = " ".join(f"{one:.2f}" for one in measured[name].seconds)
        memory = statistics.median(measured[name].memory)
        print(f"{name}: {seconds} s of user time, {memory:.0f} MB", file=sys.stderr)
    compared = [(name, other) for name, _, other in FILES if other is not None]
    for name, other in compared:
        print(f"ratio {name} {ratio_of(measured[name], measured[other]):.2f}")
    for name, _ in compared:
        print(f"memory {name} {statistics.median(measured[name].memory):.0f} MB")
    print(f"text compile_use {measured['compile_use'].text / 1024:.0f} KB")


def measure_headers(compiler, runs):
    headers = [str(path.relative_to(INCLUDE)) for path in sorted((INCLUDE / "decouple").rglob("*.h"))]
    sources = [("reference", REFERENCE)]
    sources += [(header, f"#include <{header}>\n") for header in headers if "/internal/" not in header]
    measured = measure(compiler, sources, runs)
    for name, _ in sources:
        seconds = statistics.median(measured[name].seconds)
        print(f"measure compile_{name} {seconds:.2f} s ({ratio_of(measured[name], measured['reference']):.1f} times)")


def main():
    parser = argparse.ArgumentParser(prog="bench/run compile", description="What the library costs a compiler.")
    parser.add_argument("what", nargs="?", default="files", choices=["files", "headers"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--compiler", default="g++")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    (measure_headers if options.what == "headers" else measure_files)(options.compiler, options.runs)


main()
