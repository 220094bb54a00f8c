#!/usr/bin/env bash
# Makes every golden file again with the programs that own the formats, and PyTorch: `npm run goldens`, or `npm run goldens -- AREA…`
# with the areas of packages/formats/witness/goldens.py, `onnx`, `models` and `crate`. The clone needs `npm ci`, and Python with pip.
# PYTHON is an interpreter with the versions of requirements.txt, such as that of a virtual environment; without it, one is made
# (several GB). ONNX_MODELS is the folder of the models that `models` reads, PARITY_CRATE that of the Rust original for `crate`.
set -euo pipefail
cd "$(dirname "$0")/../.."

FORMATS=(safetensors peft onnx-bases gguf gguf-models layouts onnx-adapter combine)
areas=("$@")
if [ $# -eq 0 ]; then
  areas=("${FORMATS[@]}" onnx gguf-models)
  for optional in "models:${ONNX_MODELS:=$(realpath -q ../shared/models || true)}" "crate:${PARITY_CRATE:=$(realpath -q ../shared/seed || true)}"; do
    if [ -d "${optional#*:}" ]; then areas+=("${optional%%:*}"); else echo "No folder for '${optional%%:*}': its golden files stay as they are."; fi
  done
fi

if [ -z "${PYTHON:-}" ]; then
  python3 -m venv .venv
  .venv/bin/pip install --quiet --requirement scripts/goldens/requirements.txt
  PYTHON="$PWD/.venv/bin/python"
fi
# Sets are written in the order of their hashes.
export PYTHONHASHSEED=0 PYTHONWARNINGS=ignore HF_HUB_OFFLINE=1 PYTHONPATH="$PWD/scripts/goldens"
npx tsc -b

for area in "${areas[@]}"; do
  echo "== $area"
  case $area in
    gguf | gguf-models)
      # Has the sources of llama.cpp, and with them its converter.
      npm --prefix packages/formats/witness/llama-cpp ci --omit=optional --no-audit --no-fund
      "$PYTHON" packages/formats/witness/goldens.py "$area" ;;
    onnx)
      "$PYTHON" packages/onnx/fixtures/operators.py packages/onnx/fixtures/operators.jsonl.gz
      "$PYTHON" packages/onnx/witness/gradients.py packages/onnx/fixtures/gradients.jsonl.gz ;;
    gguf-models)
      "$PYTHON" packages/onnx/goldens/gguf_models.py
      npm --prefix packages/formats/witness/llama-cpp ci --no-audit --no-fund
      "$PYTHON" packages/onnx/goldens/gguf_llama_cpp.py ;;
    models) "$PYTHON" packages/onnx/goldens/make.py "$ONNX_MODELS" packages/onnx/goldens ;;
    crate) node packages/formats/witness/original/goldens.mjs "$PARITY_CRATE" ;;
    *) "$PYTHON" packages/formats/witness/goldens.py "$area" ;;
  esac
done
