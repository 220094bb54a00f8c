"""Mean reciprocal rank of MiniLM and of the built package on the same searches, as a Markdown table."""

import argparse
import json
import subprocess
from pathlib import Path

import numpy as np

from teacher import Teacher
from texts import Search, emoji_search, font_awesome_search, lucide_search, wordnet_search


def mean_reciprocal_rank(queries: np.ndarray, documents: np.ndarray, search: Search) -> float:
    """Rank of the first relevant document by cosine; ties take the middle rank, a zero query so ranks in the middle."""
    reciprocal = 0.0
    for query, relevant in zip(queries, search.relevant):
        scores = documents @ query
        best = scores[relevant].max()
        reciprocal += 1 / (1 + (scores > best).sum() + ((scores == best).sum() - 1) / 2)
    return reciprocal / len(queries)


def embed_with_package(texts: list[str], dimensions: int) -> np.ndarray:
    script = Path(__file__).with_name("embed.mjs")
    result = subprocess.run(["node", script, str(dimensions)], input=json.dumps(texts).encode(), capture_output=True, check=True)
    return np.frombuffer(result.stdout, "<f4").reshape(len(texts), dimensions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder with model.onnx and tokenizer.json")
    parser.add_argument("--packages", type=Path, required=True, help="node_modules folder with the data packages")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    teacher = Teacher(args.model, args.threads)
    searches = {
        "emoji by keyword": emoji_search(args.packages),
        "Lucide icons by tag": lucide_search(args.packages),
        "WordNet definitions by word (test synsets)": wordnet_search(args.packages, "test"),
        "WordNet, dev synsets (settings chosen on it)": wordnet_search(args.packages, "dev"),
        "Font Awesome icons by term (settings chosen on it)": font_awesome_search(args.packages),
    }
    print("| search | queries | documents | MiniLM | 256 | 128 |\n|---|---|---|---|---|---|")
    for name, search in searches.items():
        embedders = [teacher.embed, lambda t: embed_with_package(t, 256), lambda t: embed_with_package(t, 128)]
        base, *ours = [mean_reciprocal_rank(embed(search.queries), embed(search.documents), search) for embed in embedders]
        cells = [f"{value:.3f} ({value / base:.1%})" for value in ours]
        print(f"| {name} | {len(search.queries)} | {len(search.documents)} | {base:.3f} | {' | '.join(cells)} |", flush=True)


main()
