#!/usr/bin/env bash
# A virtual environment with the peer; PYTHON names an interpreter that has it already.
set -euo pipefail
cd "$(dirname "$0")"
if [ -n "${PYTHON:-}" ] || [ -x .venv/bin/python ]; then exit; fi
python3 -m venv .venv
.venv/bin/pip install --quiet torch==2.15.0 transformers==5.24.0 peft==0.21.2
