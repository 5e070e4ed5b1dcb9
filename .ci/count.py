"""Counts test cases in a Bazel build event file: count.py EVENTS_JSON BAZEL_EXIT_CODE.

Prints the tests that failed and, as the last line, "N passed, N failed". A target that was not built, timed out, died
before it wrote its report, or failed although its report names no failed case, counts as one failure.
"""

import json
import pathlib
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree


def cases(report: pathlib.Path) -> tuple[int, list[str]]:
    """The number of passed cases and the names of failed ones in one test.xml; skipped cases are neither."""
    passed, failed = 0, []
    for case in ElementTree.parse(report).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(f"{case.get('classname', '')}.{case.get('name', '')}".strip("."))
        elif case.find("skipped") is None and case.get("status") != "notrun":
            passed += 1
    return passed, failed


def main() -> int:
    events_file, bazel_code = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    passed, failed = 0, []
    reports: dict[str, dict[tuple, pathlib.Path]] = {}  # label -> (run, shard) -> the last attempt's report
    summaries: dict[str, str] = {}
    for line in events_file.read_text(errors="replace").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # the last line of a run that was killed
        if "testResult" in event.get("id", {}):
            result = event["id"]["testResult"]
            for output in event.get("testResult", {}).get("testActionOutput", []):
                if output["name"] == "test.xml":
                    path = urllib.parse.unquote(urllib.parse.urlsplit(output["uri"]).path)
                    reports.setdefault(result["label"], {})[result.get("run"), result.get("shard")] = pathlib.Path(path)
        elif "testSummary" in event.get("id", {}):
            summaries[event["id"]["testSummary"]["label"]] = event["testSummary"]["overallStatus"]
        elif "targetCompleted" in event.get("id", {}):
            if not event.get("completed", {}).get("success"):
                summaries.setdefault(event["id"]["targetCompleted"]["label"], "FAILED_TO_BUILD")

    for label, status in sorted(summaries.items()):
        failed_here = []
        for report in reports.get(label, {}).values():
            try:
                good, bad = cases(report)
            except (OSError, ElementTree.ParseError):
                continue
            passed += good
            failed_here += bad
        if status not in ("PASSED", "FLAKY") and not failed_here:
            failed_here = [status]
        failed += [f"{label} {name}" for name in failed_here]

    for name in failed:
        print(f"FAILED: {name}")
    if bazel_code != 0 and not failed:
        # 4: Bazel found no tests. Anything else: it broke before it could test.
        print(f"FAILED: bazel test ended with exit code {bazel_code}")
        failed.append("bazel")
    if not passed and not failed:
        print("FAILED: no test ran")
        failed.append("nothing")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
