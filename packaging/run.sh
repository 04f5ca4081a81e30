#!/usr/bin/env bash
# `make run`: a local site with jobs to do, and the program that does them: in a window if there is a display.
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
base=${BASEDIR:?}
site=$base/site
jobs=${JOBS:-}
events=${EVENTS:-200}

case "$jobs" in *[!0-9]* | 0) echo "run: JOBS=$jobs is not a number of jobs; try JOBS=1" >&2; exit 2 ;; esac
case "$events" in "" | *[!0-9]* | 0) echo "run: EVENTS=$events is not a number of collisions; try EVENTS=200" >&2; exit 2 ;; esac
[ -n "$jobs" ] || echo "run: goes on until you end it; Ctrl+C, or Quit in the window, saves the work"

mkdir -p "$base"
"$python" main.py site up --folder "$site" --appliance build/appliance &
site_pid=$!
trap 'kill -TERM "$site_pid" 2>/dev/null || true; wait "$site_pid" 2>/dev/null || true' EXIT

for _ in $(seq 150); do
    "$python" main.py site status --folder "$site" >/dev/null 2>&1 && break
    kill -0 "$site_pid" 2>/dev/null || { echo "run: the local site did not start" >&2; exit 1; }
    sleep 0.2
done

# The queue keeps jobs of earlier runs, and equal ones go in the order of submission. What was asked for now goes first:
# the priority is the time.
"$python" main.py submit --site "$site" --events "$events" --number "${jobs:-3}" --priority "$(date +%s)"
face=headless
[ -z "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] || face=gui
status=0
"$python" main.py "$face" --basedir "$base" --project "$site/project.toml" --start --jobs "${jobs:-0}" || status=$?
"$python" main.py jobs --site "$site" list
exit "$status"
