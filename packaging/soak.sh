#!/usr/bin/env bash
# The long tests: fuzzing and chaos, then those on a real VirtualBox. Arguments are pytest's, for the first part.
set -euo pipefail
cd "$(dirname "$0")/.."
export QT_QPA_PLATFORM=offscreen
.venv/bin/python -m pytest -s tests/soak --durations=10 "$@"
packaging/virtualbox-test.sh soak
