#!/usr/bin/env bash
# What must hold before each commit; under a minute.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
$bin/ruff format --check --quiet . || { $bin/ruff format --diff --quiet . | head -n 40; exit 1; }
$bin/ruff check --quiet .
$bin/mypy --no-error-summary
export QT_QPA_PLATFORM=offscreen
told=$(mktemp)
trap 'rm -rf "$told" ${memory:+"$memory"}' EXIT
# Nothing of these tests need outlive a power cut, and half their time a disk would be synced. So into memory, if there is
# enough of it (they leave 350 MB until the end) and programs can be run from there.
if [ -w /dev/shm ] && [ "$(df --output=avail /dev/shm | tail -n 1)" -gt 1000000 ]; then
  memory=$(mktemp -d /dev/shm/volunteer-check.XXXXXX)
  if cp /bin/true "$memory/true" && "$memory/true" 2>/dev/null; then
    export TMPDIR=$memory
  fi
fi
# In two halves at once, which take about as long: computers have two processors at least.
rooms=(hypervisor copilot guest ui service preferences host project appliance/contextual)
pytest=($bin/python -m pytest --quiet)
# half NAME ARGUMENTS: in CI what fails is tried once more, alone; docs/decisions/0012-ci-tries-twice.md.
half() {
  local run=("${pytest[@]}" -o "cache_dir=build/pytest/$1" "${@:2}")
  local code=0
  "${run[@]}" || code=$?
  # 1: tests failed, and nothing worse.
  [ "$code" = 1 ] && [ -n "${CI:-}" ] || return "$code"
  local names='import json, sys; print(*json.load(open(sys.argv[1])))'
  echo "failed once, tried again: $($bin/python -c "$names" "build/pytest/$1/v/cache/lastfailed")"
  "${run[@]}" --last-failed --last-failed-no-failures none
}
half rooms "${rooms[@]/#/tests/unit/}" >"$told" 2>&1 & other=$!
status=0
half rest tests/unit "${rooms[@]/#/--ignore=tests/unit/}" || status=$?
wait "$other" || status=$?
cat "$told"
exit "$status"
