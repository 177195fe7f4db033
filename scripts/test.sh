#!/bin/sh
# Every test, in three runs side by side: two cores are not busy with any one of them, since most wait for wires and clocks.
set -u
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
waiting="tests/conformance tests/simulators tests/durability"

.venv/bin/python -m pytest tests/integration >"$out/station" 2>&1 &
station=$!
# shellcheck disable=SC2086  # several directories
.venv/bin/python -m pytest $waiting >"$out/waiting" 2>&1 &
ends=$!
.venv/bin/python -m pytest --ignore=tests/integration $(printf -- '--ignore=%s ' $waiting)
status=$?
for run in "$ends waiting" "$station station"; do
    # shellcheck disable=SC2086  # a process and its output
    set -- $run
    wait "$1" || status=1
    cat "$out/$2"
done
exit "$status"
