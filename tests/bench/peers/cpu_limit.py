"""How much two processes do beside one on this machine: the limit for interpreters on two cores. Prints JSON.

usage: cpu_limit.py ITERATIONS
"""

import json
import multiprocessing
import sys
import time

import burn


def wait_and_burn(start, iterations):
    start.wait()
    burn.burn(iterations)


def seconds(processes, iterations):
    context = multiprocessing.get_context("fork")
    start = context.Barrier(processes + 1)
    workers = [context.Process(target=wait_and_burn, args=(start, iterations)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    start.wait()
    begin = time.perf_counter()
    for worker in workers:
        worker.join()
    return time.perf_counter() - begin


def main():
    iterations = int(sys.argv[1])
    json.dump({"seconds": {str(processes): seconds(processes, iterations) for processes in (1, 2)}}, sys.stdout)


if __name__ == "__main__":
    main()
