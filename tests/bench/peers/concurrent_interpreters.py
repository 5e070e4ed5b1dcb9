"""What the standard library's interpreters cost: prints JSON with the microseconds of each operation.

usage: concurrent_interpreters.py call|create COUNT
"""

import json
import sys
import time
from concurrent import interpreters


def nothing():
    pass


def time_each(operation, count):
    samples = []
    for _ in range(count):
        start = time.perf_counter_ns()
        operation()
        samples.append((time.perf_counter_ns() - start) / 1000)
    return samples


def main():
    what, count = sys.argv[1], int(sys.argv[2])
    if what == "call":
        interpreter = interpreters.create()
        time_each(lambda: interpreter.call(nothing), count // 10 + 1)
        samples = time_each(lambda: interpreter.call(nothing), count)
    elif what == "create":
        interpreters.create()
        samples = time_each(interpreters.create, count)
    else:
        sys.exit(__doc__)
    json.dump({"microseconds": samples}, sys.stdout)


if __name__ == "__main__":
    main()
