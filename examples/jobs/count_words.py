"""Counts the words of text files, one task a file:

interpctl job submit --glob 'docs/*.txt' --parallel 2 --watch count_words.py
"""
# /// interpd
# name = "count words"
# retries = 1
# timeout = "1m"
# ///

import collections
import re

WORD = re.compile(r"[^\W\d_]+")


def task(path):
    """How often each word stands in the file; what a task returns is its result."""
    with open(path, encoding="utf-8", errors="replace") as file:
        words = collections.Counter(word.lower() for line in file for word in WORD.findall(line))
    print(f"{path}: {words.total()} words, {len(words)} different ones")
    return {"path": path, "words": words.total(), "top": words.most_common(1000)}
