#!/usr/bin/env bash
# The lane with the real VirtualBox; docs/testing-virtualbox.md. Usage: packaging/virtualbox-test.sh [lane|soak] [pytest arguments]
# If VirtualBox cannot be had here and now, one line says so, the lane counts as not run, and all else still counts.
set -euo pipefail
cd "$(dirname "$0")/.."
which=lane
case "${1:-}" in lane | soak) which=$1; shift ;; esac

not_run() { printf 'virtualbox: NOT RUN: %s\n' "$1"; exit 0; }

packaging/linux/setup.sh virtualbox-lane || not_run "the packages that its set-up needs could not be installed"
status=0
home=$(packaging/linux/virtualbox.sh) || status=$?
[ "$status" != 75 ] || not_run "$home"
[ "$status" = 0 ] || exit "$status"
export VIRTUALBOX_LANE=$home PATH="$home/bin:$PATH" QT_QPA_PLATFORM=offscreen
marks='not soak'
[ "$which" = lane ] || marks=soak
# One VM at a time is enough for two processors: whoever else uses this set-up waits here.
run() { flock --close "$home/use.lock" .venv/bin/python -m pytest tests/virtualbox -m "$marks" --durations=10 "$@"; }
run "$@" && exit 0
# VBoxManage 7.2 itself stands still for ten seconds at its exit now and then, whoever calls it.
echo "virtualbox: what failed is tried once more"
run --last-failed --last-failed-no-failures none "$@"
