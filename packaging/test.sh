#!/usr/bin/env bash
# The whole suite: checks, unit tests, real parts, the whole program. CI fails if a test was skipped that should run here,
# and there what fails is tried once more, alone. Arguments are pytest's.
set -euo pipefail
cd "$(dirname "$0")/.."
packaging/check.sh
export QT_QPA_PLATFORM=offscreen
.venv/bin/python -m packaging.suite "$@"
# Last, for its guests take a processor for minutes. One line says so if this computer cannot have it; if it fails, all fails.
packaging/virtualbox-test.sh lane
