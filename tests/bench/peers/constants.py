"""What Python needs to have a large graph, and to have it in other interpreters and processes too: prints JSON.

usage: constants.py load FILE                             seconds that json.loads takes for the file's text
       constants.py share interpreters|processes FILE N   microseconds until each of N receivers has that graph
"""

import json
import multiprocessing
import sys
import time
from concurrent import interpreters


def load(text):
    start = time.perf_counter()
    graph = json.loads(text)
    seconds = time.perf_counter() - start
    assert graph
    return {"seconds": seconds}


# prepare_main refuses a dict; a queue pickles it.
def share_with_interpreters(graph, count):
    queue = interpreters.create_queue()
    samples = []
    for _ in range(count):
        receiver = interpreters.create()
        receiver.prepare_main(queue=queue)
        start = time.perf_counter_ns()
        queue.put(graph)
        receiver.exec("graph = queue.get()")
        samples.append((time.perf_counter_ns() - start) / 1000)
        receiver.close()
    return samples


def receive(connection):
    connection.send("up")
    connection.send(len(connection.recv()))


def share_with_processes(graph, count):
    context = multiprocessing.get_context("spawn")  # fork would share the pages
    samples = []
    for _ in range(count):
        ours, theirs = context.Pipe()
        receiver = context.Process(target=receive, args=(theirs,))
        receiver.start()
        ours.recv()
        start = time.perf_counter_ns()
        ours.send(graph)
        ours.recv()
        samples.append((time.perf_counter_ns() - start) / 1000)
        receiver.join()
    return samples


def main():
    match sys.argv[1:]:
        case ["load", file]:
            with open(file) as text:
                result = load(text.read())
        case ["share", sides, file, count]:
            with open(file) as text:
                graph = json.load(text)
            share = share_with_interpreters if sides == "interpreters" else share_with_processes
            result = {"microseconds": share(graph, int(count))}
        case _:
            sys.exit(__doc__)
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
