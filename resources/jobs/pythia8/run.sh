#!/bin/sh
# Usage: ./run.sh steering.cmnd EVENTS SEED      writes summary.json and job.log into the current folder
# Pythia 8 comes from the software disk at $SOFTWARE_DIR (default /software), or else from Python's own packages.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
pythia8=${SOFTWARE_DIR:-/software}/pythia8
if [ -d "$pythia8/lib" ]; then
    export PYTHONPATH="$pythia8/lib"
    export PYTHIA8DATA="$pythia8/share/Pythia8/xmldoc"
fi
export PYTHONDONTWRITEBYTECODE=1
exec "${PYTHON:-python3}" "$here/simulate.py" "$@"
