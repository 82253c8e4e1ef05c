#!/usr/bin/env bash
# Measure on this machine's GPU: bash bench/gpu/run.sh first | second | SECTION... | --list
# Options after the sections are those of run.py (--device cpu --small rehearses). Results go to
# $OUT (default: gpu-results), files of 3 GB to $WORK (default: gpu-work). PYTHON names the
# interpreter that has torch. Where `make gpu-kit` has left wheels, they are installed into an
# environment of their own in $WORK; the interpreter's packages stay as they are.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-python3}
work=$(mkdir -p "${WORK:-gpu-work}" && cd "${WORK:-gpu-work}" && pwd)
export OUT=$(mkdir -p "${OUT:-gpu-results}" && cd "${OUT:-gpu-results}" && pwd)
wheels=$root/build/gpu-kit/wheels
if [ -d "$wheels" ] && [ "${1:-}" != --list ]; then
  python=$("$python" "$root/bench/gpu/environment.py" "$wheels" "$work/environment" "$root/src")
fi
cd "$root/bench"
"$python" -m gpu.run "$@" --work "$work"
