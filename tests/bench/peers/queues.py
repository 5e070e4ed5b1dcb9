"""What the standard library's queues cost: prints JSON.

usage: queues.py pingpong COUNT                          microseconds of each round trip between two interpreters
       queues.py rate interpreters|processes ints|bytes64|megabytes SECONDS     values a second, one way
"""

import json
import multiprocessing
import sys
import threading
import time
from concurrent import interpreters

CAPACITY = 1024
VALUES = {"ints": "i % 200", "bytes64": "b'x' * 64", "megabytes": "megabyte"}

PRODUCE = """
def produce(q, seconds):
    import time
    megabyte = bytes(1 << 20)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for i in range({batch}):
            q.put({value})
    q.put(None)
"""

CONSUME = """
def consume(q, done):
    import time
    q.get()
    start, count = time.monotonic(), 0
    while q.get() is not None:
        count += 1
    done.put(count / (time.monotonic() - start))
"""


def pingpong(count):
    ping, pong = interpreters.create_queue(), interpreters.create_queue()
    partner = interpreters.create()
    partner.prepare_main(ping=ping, pong=pong)
    thread = threading.Thread(target=partner.exec, args=("while (x := ping.get()) is not None: pong.put(x)",))
    thread.start()
    samples = []
    for i in range(count):
        start = time.perf_counter_ns()
        ping.put(i)
        pong.get()
        samples.append((time.perf_counter_ns() - start) / 1000)
    ping.put(None)
    thread.join()
    return {"microseconds": samples}


def rate(sides, what, seconds):
    source = PRODUCE.format(value=VALUES[what], batch=10 if what == "megabytes" else 1000)
    capacity = 16 if what == "megabytes" else CAPACITY
    if sides == "interpreters":
        q, done = interpreters.create_queue(capacity), interpreters.create_queue()
        producer, consumer = interpreters.create(), interpreters.create()
        producer.prepare_main(q=q)
        consumer.prepare_main(q=q, done=done)
        threads = [
            threading.Thread(target=producer.exec, args=(source + f"produce(q, {seconds})",)),
            threading.Thread(target=consumer.exec, args=(CONSUME + "consume(q, done)",)),
        ]
        for thread in threads:
            thread.start()
        result = done.get()
        for thread in threads:
            thread.join()
    else:
        context = multiprocessing.get_context("fork")
        q, done = context.Queue(capacity), context.Queue()
        namespace = {}
        exec(source + CONSUME, namespace)
        processes = [
            context.Process(target=namespace["produce"], args=(q, seconds)),
            context.Process(target=namespace["consume"], args=(q, done)),
        ]
        for process in processes:
            process.start()
        result = done.get()
        for process in processes:
            process.join()
    return {"per_second": result}


def main():
    match sys.argv[1:]:
        case ["pingpong", count]:
            result = pingpong(int(count))
        case ["rate", sides, what, seconds]:
            result = rate(sides, what, float(seconds))
        case _:
            sys.exit(__doc__)
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
