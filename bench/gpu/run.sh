#!/usr/bin/env bash
# Measure on this machine's GPU: bash bench/gpu/run.sh first | second | SECTION... | --list
# Options after the sections are those of run.py (--device cpu --small rehearses). Results go to
# $OUT (default: gpu-results), files of 3 GB to $WORK (default: gpu-work). The interpreter is that of
# `make setup`; where there is none, $PYTHON (default: python3), which has torch, and on top of it,
# in an environment of its own in $WORK, the wheels that `make gpu-kit` has packed.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mkdir -p "${WORK:-gpu-work}" && cd "${WORK:-gpu-work}" && pwd)
export OUT=$(mkdir -p "${OUT:-gpu-results}" && cd "${OUT:-gpu-results}" && pwd)
python=$root/.venv/bin/python
if [ ! -x "$python" ]; then
  python=${PYTHON:-python3}
  wheels=$root/build/gpu-kit/wheels
  if [ -d "$wheels" ]; then
    python=$("$python" "$root/bench/gpu/environment.py" "$wheels" "$work/environment" "$root/src")
  fi
fi
cd "$root/bench"
"$python" -m gpu.run "$@" --work "$work"
