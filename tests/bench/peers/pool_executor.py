"""How many tiny tasks a second an InterpreterPoolExecutor runs, by its number of workers: prints JSON.

usage: pool_executor.py SECONDS
"""

import json
import sys
import time
from concurrent.futures import InterpreterPoolExecutor


def nothing():
    pass


def rate(workers, seconds):
    """Keeps 64 tasks in flight, as the rows of CallStream do."""
    with InterpreterPoolExecutor(max_workers=workers) as pool:
        for future in [pool.submit(nothing) for _ in range(64)]:
            future.result()
        done = 0
        start = time.perf_counter()
        while time.perf_counter() - start < seconds:
            for future in [pool.submit(nothing) for _ in range(64)]:
                future.result()
            done += 64
        return done / (time.perf_counter() - start)


def main():
    seconds = float(sys.argv[1])
    json.dump({"per_second": {str(workers): rate(workers, seconds) for workers in (1, 2)}}, sys.stdout)


if __name__ == "__main__":
    main()
