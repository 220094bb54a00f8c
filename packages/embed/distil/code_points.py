"""Compares tokenizers on "a" + c + "b" for every Unicode scalar value c: Python's, this package's, @huggingface/tokenizers'."""

import argparse
import json
import subprocess
import sys
import unicodedata
from pathlib import Path

from tokenizers import Tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder with tokenizer.json and tokenizer_config.json")
    parser.add_argument("--packages", type=Path, required=True, help="node_modules folder with @huggingface/tokenizers")
    args = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(args.model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    characters = [chr(c) for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000]
    expected = [e.ids for e in tokenizer.encode_batch([f"a{c}b" for c in characters], add_special_tokens=False)]
    script = Path(__file__).with_name("code-points.mjs")
    cases = json.dumps({"characters": characters, "expected": expected}).encode()
    result = subprocess.run(["node", script, args.model, args.packages], input=cases, capture_output=True, check=True)
    old = unicodedata.ucd_3_2_0
    for name, differing in json.loads(result.stdout).items():
        settled = [c for c in differing if old.category(c) == unicodedata.category(c) != "Cn"]
        print(f"{name}: {len(differing)} differ, {len(settled)} of them of unchanged category since Unicode 3.2")


main()
