#!/usr/bin/env bash
# Checks what we write with the programs that it is for; each of them is installed here, and none may be missing.
# PYTHON is an interpreter with the versions of consumers.txt; without it, a virtual environment is made.
set -euo pipefail
cd "$(dirname "$0")"

if [ -z "${PYTHON:-}" ]; then
  if ! python3 -c 'import ensurepip' 2>/dev/null; then
    apt-get update -qq && apt-get install -y -qq python3-venv
  fi
  python3 -m venv .venv-consumers
  .venv-consumers/bin/pip install --quiet --requirement consumers.txt
  PYTHON="$PWD/.venv-consumers/bin/python"
fi
# Without its builds for other machines, which take 700 MB; overrides in its package.json keep them out of the lockfile.
npm --prefix llama-cpp ci --omit=optional --no-audit --no-fund
(cd ../../.. && npx tsc -b)
"$PYTHON" check.py
"$PYTHON" check_safetensors.py
node llama-cpp/models.mjs
