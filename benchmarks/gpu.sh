#!/bin/sh
# Test and measure textvae on a GPU; see benchmarks/gpu.py --help. textvae need not be installed.
# Python is $PYTHON, else .venv of the repository, else python3.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
python=${PYTHON:-"$root/.venv/bin/python"}
if [ -z "${PYTHON:-}" ] && [ ! -x "$python" ]; then
    python=python3
fi
PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONPATH
exec "$python" "$root/benchmarks/gpu.py" "$@"
