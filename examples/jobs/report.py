#!/usr/bin/env -S interpctl job run
"""Adds up what count_words.py has found, in the jobs that this one runs after.

Its argument is how many words to show.
"""
# /// interpd
# name = "words report"
# ///

import collections
import sys

import interpd

total = collections.Counter()
files = 0
for name, results in interpd.task.after.items():
    # Jobs stand there under their names and under what they are called.
    if name.startswith("jobs/"):
        for result in results:
            files += 1
            total.update(dict(map(tuple, result["top"])))

top = total.most_common(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
print(f"{files} files")
for word, count in top:
    print(f"{count:8}  {word}")
interpd.task.result = {"files": files, "top": top}
