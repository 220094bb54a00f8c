#!/usr/bin/env bash
# Writes checkpoints of versions 1, 2 and 3 with the commits that wrote them, and what they answered then, to
# packages/microlora/src/goldens. Each commit is built in a temporary worktree. The clone needs its history and `npm ci`.
set -euo pipefail
cd "$(dirname "$0")/../../.."

declare -A COMMITS=([1]=dce5923 [2]=3a1e9ec [3]=e226cf0)
TO="$PWD/packages/microlora/src/goldens"
scratch=$(mktemp -d)
trap 'git worktree remove --force "$scratch/old" 2>/dev/null || true; rm -rf "$scratch"' EXIT
mkdir -p "$TO"

for version in 1 2 3; do
  old="$scratch/old"
  git worktree add --quiet --detach "$old" "${COMMITS[$version]}"
  # What is installed here, with the packages of then in the place of those of now.
  mkdir -p "$old/node_modules/@microlora"
  for path in node_modules/*; do
    case $path in */microlora | */@microlora) ;; *) ln -s "$PWD/$path" "$old/node_modules/" ;; esac
  done
  ln -s ../packages/microlora "$old/node_modules/microlora"
  ln -s ../../packages/formats "$old/node_modules/@microlora/formats"
  package=packages/microlora
  if [ "$version" -gt 2 ]; then package=packages/onnx; fi
  npx tsc -b "$old/$package"
  cp scripts/goldens/checkpoints/write.mjs "$old/"
  node "$old/write.mjs" "$version" "$old" "$TO"
  git worktree remove --force "$old"
done
