#!/usr/bin/env bash
# @microlora/onnx in Chromium, and in transformers.js pipelines on the models of a folder; none of them may be missing.
# Usage: check.sh FOLDER_OF_MODELS
set -euo pipefail
models=$(realpath "$1")
cd "$(dirname "$0")"
command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium; }
npm ci --no-audit --no-fund
(cd ../../.. && npx tsc -b)
node browser.mjs "$(command -v chromium)"
node pipelines.mjs "$models"
node embedder.mjs "$models"
node merged.mjs
