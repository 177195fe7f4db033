#!/bin/sh
# Every test, in two runs side by side: those of the whole station mostly wait, the others mostly compute.
set -u
out=$(mktemp)
trap 'rm -f "$out"' EXIT
.venv/bin/python -m pytest tests/integration >"$out" 2>&1 &
whole=$!
.venv/bin/python -m pytest --ignore=tests/integration
parts=$?
wait "$whole"
station=$?
cat "$out"
[ "$parts" -eq 0 ] && [ "$station" -eq 0 ]
