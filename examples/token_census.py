"""Counts the tokens of Python source files: the work of the quickstart, and an example of code hosted by interpd.

Its functions are meant for `call`; they take and return plain values:

    corpus()                            every source file of the installed standard library
    census(paths)                       how often each token stands in some files
    census_in_threads(paths, threads)   the same, by threads of this one interpreter
    top_of_share(share, shares)         the top tokens of every shares-th file: for calls by hand

It is also a program of its own: python3 token_census.py [DIRECTORY]
"""

import collections
import concurrent.futures
import os
import sys
import sysconfig
import tokenize


def corpus(directory: str = "") -> list[str]:
    """The .py files below `directory` (the standard library's own by default), largest first.

    Largest first, so that files dealt out one by one leave no long tail at the end.
    """
    top = directory or sysconfig.get_path("stdlib")
    found = []
    for folder, folders, files in os.walk(top):
        folders[:] = sorted(f for f in folders if f not in ("__pycache__", "site-packages", "dist-packages"))
        found += [os.path.join(folder, name) for name in files if name.endswith(".py")]
    return sorted(found, key=lambda path: (-os.path.getsize(path), path))


def census(paths: list[str]) -> dict:
    """Counts names, operators and the kinds of other tokens in `paths`.

    Files that are no valid Python, or not there, are counted as skipped.
    """
    counts = collections.Counter()
    skipped = 0
    for path in paths:
        try:
            with tokenize.open(path) as file:
                found = collections.Counter(
                    token.string if token.type in (tokenize.NAME, tokenize.OP) else tokenize.tok_name[token.type]
                    for token in tokenize.generate_tokens(file.readline)
                )
        except (SyntaxError, tokenize.TokenError, UnicodeDecodeError, OSError):
            skipped += 1
        else:
            counts.update(found)
    return {"counts": dict(counts), "files": len(paths) - skipped, "skipped": skipped}


def census_in_threads(paths: list[str], threads: int) -> dict:
    """census(paths), by `threads` threads of this one interpreter, which share its GIL."""
    with concurrent.futures.ThreadPoolExecutor(threads) as executor:
        return merge(list(executor.map(census, ([path] for path in paths))))


def merge(parts: list[dict]) -> dict:
    """The sum of several answers of census."""
    counts = collections.Counter()
    for part in parts:
        counts.update(part["counts"])
    return {
        "counts": dict(counts),
        "files": sum(part["files"] for part in parts),
        "skipped": sum(part["skipped"] for part in parts),
    }


def top(answer: dict, n: int = 10) -> list[list]:
    """The `n` most frequent tokens of an answer, as [[token, count], ...]."""
    return [[token, count] for token, count in collections.Counter(answer["counts"]).most_common(n)]


def top_of_share(share: int, shares: int, n: int = 10) -> list[list]:
    """The `n` most frequent tokens of share number `share` (from 1) of the corpus dealt out to `shares`."""
    return top(census(corpus()[share - 1 :: shares]), n)


def main() -> None:
    answer = census(corpus(sys.argv[1] if len(sys.argv) > 1 else ""))
    print(f"{sum(answer['counts'].values())} tokens in {answer['files']} files, {answer['skipped']} skipped")
    for token, count in top(answer):
        print(f"{count:9}  {token}")


if __name__ == "__main__":
    main()
