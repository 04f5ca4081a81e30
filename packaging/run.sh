#!/usr/bin/env bash
# `make run`: a local site with jobs to do, and the program that does them: in a window if there is a display.
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
base=${BASEDIR:?}
site=$base/site
jobs=${JOBS:-}
events=${EVENTS:-200}

mkdir -p "$base"
"$python" main.py site up --folder "$site" --appliance build/appliance &
site_pid=$!
trap 'kill -TERM "$site_pid" 2>/dev/null || true; wait "$site_pid" 2>/dev/null || true' EXIT

for _ in $(seq 150); do
    "$python" main.py site status --folder "$site" >/dev/null 2>&1 && break
    kill -0 "$site_pid" 2>/dev/null || { echo "run: the local site did not start" >&2; exit 1; }
    sleep 0.2
done

"$python" main.py submit --site "$site" --events "$events" --number "${jobs:-3}"
face=headless
[ -z "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] || face=gui
status=0
"$python" main.py "$face" --basedir "$base" --project "$site/project.toml" --start --jobs "${jobs:-0}" || status=$?
"$python" main.py jobs --site "$site" list
exit "$status"
