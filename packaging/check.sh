#!/usr/bin/env bash
# What must hold before each commit; under a minute.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
$bin/ruff format --check --quiet . || { $bin/ruff format --diff --quiet . | head -n 40; exit 1; }
$bin/ruff check --quiet .
$bin/mypy --no-error-summary
QT_QPA_PLATFORM=offscreen $bin/python -m pytest --quiet tests/unit
