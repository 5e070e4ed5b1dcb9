#!/bin/sh
# Runs the given pytest files and writes the XML report where Bazel wants it.
exec python3 -B -m pytest -q -p no:cacheprovider ${XML_OUTPUT_FILE:+--junitxml="$XML_OUTPUT_FILE"} "$@"
