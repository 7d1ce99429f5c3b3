"""Runs the measures that need no peer beside them, and those that look at a program from outside: its system calls, and
what including each header costs a compiler. All print lines `measure NAME VALUE UNIT`."""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def system_calls(binary, messages):
    with tempfile.NamedTemporaryFile() as trace:
        subprocess.run(["strace", "-f", "-qq", "-o", trace.name, binary, "sends", str(messages)], check=True)
        return sum(1 for _ in open(trace.name))


def compile_seconds(source, directory):
    path = os.path.join(directory, "one.cc")
    with open(path, "w") as out:
        out.write(source)
    runs = []
    for _ in range(3):
        begin = time.monotonic()
        subprocess.run(
            ["g++", "-std=c++20", "-O1", f"-I{ROOT}/include", "-c", path, "-o", os.path.join(directory, "one.o")],
            check=True,
        )
        runs.append(time.monotonic() - begin)
    return statistics.median(runs)


def main():
    binary = sys.argv[1]
    subprocess.run([binary], check=True)

    messages = 100_000
    calls = system_calls(binary, messages) - system_calls(binary, 0)
    print(f"measure system_calls_of_{messages}_cycles {calls} calls", flush=True)

    with tempfile.TemporaryDirectory() as directory:
        plain = compile_seconds(
            '#include "absl/status/statusor.h"\n#include "absl/synchronization/mutex.h"\n', directory
        )
        print(f"measure compile_absl_mutex_and_status {plain:.2f} s", flush=True)
        for header in sorted((ROOT / "include" / "decouple").rglob("*.h")):
            name = str(header.relative_to(ROOT / "include"))
            if "/internal/" in name:
                continue
            seconds = compile_seconds(f"#include <{name}>\n", directory)
            print(f"measure compile_{name} {seconds:.2f} s ({seconds / plain:.1f} times)", flush=True)


main()
