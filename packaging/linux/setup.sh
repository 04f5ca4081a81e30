#!/usr/bin/env bash
# Set-up of a Debian machine: system packages, then the virtual environment.
# Usage: packaging/linux/setup.sh GROUP...   groups: run site appliance check test bench (packages.txt)
# The groups check, test and bench also install the tools of developers into the environment.
# It says what it will install before it does; a second run finds everything there and takes no time.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
venv=${VENV:-$top/.venv}

say() { printf 'set-up: %s\n' "$*"; }

refuse() { printf 'set-up: %s\n' "$*" >&2; exit 1; }

missing_packages() {
    local group package
    for group in "$@"; do
        while read -r _ package; do
            case "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)" in
                "install ok installed") ;;
                *) printf '%s\n' "$package" ;;
            esac
        done < <(awk -v group="$group" '$1 == group' "$here/packages.txt")
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else refuse "these packages need root: run this as root, or install sudo, or ask your administrator for: ${missing[*]}"
    fi
}

install_packages() {
    command -v dpkg-query >/dev/null || { say "no dpkg here: install the equivalents of $here/packages.txt yourself"; return; }
    mapfile -t missing < <(missing_packages "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    say "will install these Debian packages (nothing else is changed): ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    # The servers among them (prosody, boinc-client) are run by this program with its own folders:
    # policy-rc.d keeps the packages from starting system services of their own while they are installed.
    local policy=/usr/sbin/policy-rc.d made=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null && as_root chmod 755 "$policy" && made=1
    fi
    local status=0
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
        >"$top/build/apt.log" 2>&1 || status=$?
    [ -z "$made" ] || as_root rm -f "$policy"
    [ "$status" = 0 ] || { tail -n 20 "$top/build/apt.log" >&2; refuse "apt-get failed; the whole log is build/apt.log"; }
    say "packages installed"
}

find_python() {
    local name
    for name in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
        [ -n "$name" ] && command -v "$name" >/dev/null || continue
        "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v "$name"; return; }
    done
    refuse "no Python 3.11 or newer with venv found; install python3 and python3-venv"
}

# Stamps say which locks the environment holds: developers' tools do not go away when only the program is run.
make_venv() {
    local lock=$1 keep=$2 python stamp
    python=$(find_python)
    stamp="$(sha256sum "$lock" | cut -d' ' -f1) $("$python" -c 'import sys; print(sys.executable, sys.version)')"
    [ -x "$venv/bin/python" ] && grep -qxF "$stamp" "$venv/.stamp" 2>/dev/null && return 0
    say "making the virtual environment $venv from $(basename "$lock")"
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --require-hashes --requirement "$lock" >"$top/build/pip.log" 2>&1 \
        || { tail -n 20 "$top/build/pip.log" >&2; refuse "pip failed; the whole log is build/pip.log"; }
    [ "$keep" = 1 ] || : >"$venv/.stamp"
    printf '%s\n' "$stamp" >>"$venv/.stamp"
    say "virtual environment ready"
}

mkdir -p "$top/build"
exec 9>"$top/build/setup.lock"
flock 9
install_packages "$@"
make_venv "$top/requirements/run.lock" 0
case " $* " in
    *" check "* | *" test "* | *" bench "*) make_venv "$top/requirements/dev.lock" 1 ;;
esac
