"""Runs the measures that need no peer beside them, and one that looks at a program from outside: its system calls. All
print lines `measure NAME VALUE UNIT`. What the library costs a compiler is in compile.py."""

import subprocess
import sys
import tempfile


def system_calls(binary, messages):
    with tempfile.NamedTemporaryFile() as trace:
        subprocess.run(["strace", "-f", "-qq", "-o", trace.name, binary, "sends", str(messages)], check=True)
        return sum(1 for _ in open(trace.name))


def main():
    binary = sys.argv[1]
    subprocess.run([binary], check=True)

    messages = 100_000
    calls = system_calls(binary, messages) - system_calls(binary, 0)
    print(f"measure system_calls_of_{messages}_cycles {calls} calls", flush=True)


main()
