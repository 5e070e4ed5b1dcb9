"""The Python of the quickstart counts right, alone."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path("examples").resolve()))

import token_census  # noqa: E402


def test_counts_names_and_operators_by_themselves_and_the_rest_by_kind(tmp_path):
    source = tmp_path / "a.py"
    source.write_text("x = x + 1\nprint('s', x)\n")
    answer = token_census.census([str(source)])
    counts = answer["counts"]
    assert answer["files"] == 1 and answer["skipped"] == 0
    assert (counts["x"], counts["="], counts["+"], counts["print"]) == (3, 1, 1, 1)
    assert (counts["NUMBER"], counts["STRING"], counts["NEWLINE"], counts["ENDMARKER"]) == (1, 1, 2, 1)


def test_what_is_no_python_is_skipped(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("'''never closed")
    absent = tmp_path / "absent.py"
    answer = token_census.census([str(bad), str(absent)])
    assert (answer["files"], answer["skipped"]) == (0, 2)


def test_threads_and_shares_count_the_same_as_one(tmp_path):
    for i in range(7):
        (tmp_path / f"m{i}.py").write_text(f"value_{i} = {i}\n" * (i + 1))
    paths = token_census.corpus(str(tmp_path))
    assert len(paths) == 7
    whole = token_census.census(paths)
    assert token_census.census_in_threads(paths, 3) == whole
    assert token_census.merge([token_census.census(paths[i::2]) for i in range(2)]) == whole
    assert [count for _, count in token_census.top(whole, 3)] == [28, 28, 28]  # '=', NUMBER, NEWLINE


def test_the_corpus_is_a_large_one():
    paths = token_census.corpus()
    assert len(paths) > 500
    assert all(path.endswith(".py") and "site-packages" not in path for path in paths)
