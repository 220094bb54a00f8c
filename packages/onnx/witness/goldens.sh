#!/usr/bin/env bash
# Writes the gradients again that PyTorch's autograd gives in float64: `npm run goldens`.
# ONNX_MODELS is the folder of the models that goldens/make.py reads; ../shared/models beside this repository by default.
# PYTHON is an interpreter with the versions of requirements.txt; without it, a virtual environment is made (several GB).
set -euo pipefail
cd "$(dirname "$0")"

if [ -z "${PYTHON:-}" ]; then
  python3 -m venv .venv
  .venv/bin/pip install --quiet --requirement requirements.txt
  PYTHON="$PWD/.venv/bin/python"
fi
HF_HUB_OFFLINE=1 "$PYTHON" gradients.py ../fixtures/gradients.jsonl.gz
HF_HUB_OFFLINE=1 "$PYTHON" ../goldens/make.py "${ONNX_MODELS:-../../../../shared/models}" ../goldens
