#!/usr/bin/env bash
# Writes every golden file again with the programs that own the formats: `npm run goldens`.
# PYTHON is an interpreter with the versions of requirements.txt; without it, a virtual environment is made (several GB).
# PARITY_CRATE is the folder of the Rust original; without it, its files stay as they are.
set -euo pipefail
cd "$(dirname "$0")"

if [ -z "${PYTHON:-}" ]; then
  python3 -m venv .venv
  .venv/bin/pip install --quiet --requirement requirements.txt
  PYTHON="$PWD/.venv/bin/python"
fi
# Sets are written in the order of their hashes.
PYTHONHASHSEED=0 HF_HUB_OFFLINE=1 "$PYTHON" goldens.py "$@"
if [ -n "${PARITY_CRATE:-}" ]; then
  node original/build.mjs "$(cd ../../.. && realpath "$PARITY_CRATE")" --goldens
fi
