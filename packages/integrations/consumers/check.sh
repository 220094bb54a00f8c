#!/usr/bin/env bash
# Each integration against the real package, with the packages as they are published.
set -euo pipefail
cd "$(dirname "$0")"
# Not `ci`, which refuses a lockfile where a registry lacks an optional package of another system.
npm install --no-save --no-audit --no-fund
(cd ../../.. && npm run --silent build)
node install.mjs
../../../node_modules/.bin/tsc -p .
node run.mjs
