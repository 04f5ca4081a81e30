#!/usr/bin/env bash
# What must hold before each commit; under a minute.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
$bin/ruff format --check --quiet . || { $bin/ruff format --diff --quiet . | head -n 40; exit 1; }
$bin/ruff check --quiet .
$bin/mypy --no-error-summary
# In two halves at once: computers have two processors at least.
export QT_QPA_PLATFORM=offscreen
rooms=(hypervisor copilot guest)
told=$(mktemp)
trap 'rm -f "$told"' EXIT
$bin/python -m pytest --quiet -p no:cacheprovider "${rooms[@]/#/tests/unit/}" >"$told" 2>&1 & half=$!
status=0
$bin/python -m pytest --quiet tests/unit "${rooms[@]/#/--ignore=tests/unit/}" || status=$?
wait "$half" || status=$?
cat "$told"
exit "$status"
