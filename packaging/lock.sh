#!/usr/bin/env bash
# Writes requirements/*.lock: exact versions with hashes, from the .in files.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x build/lock-venv/bin/pip-compile ] || { python3 -m venv build/lock-venv; build/lock-venv/bin/pip install --quiet pip-tools; }
for name in run dev virtualbox-lane; do
    build/lock-venv/bin/pip-compile --quiet --strip-extras --allow-unsafe --generate-hashes --no-emit-index-url \
        --no-emit-find-links --no-emit-trusted-host --no-header --no-annotate \
        --output-file "requirements/$name.lock" "requirements/$name.in"
done
