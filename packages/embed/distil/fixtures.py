"""Writes ../fixtures: what Python's tokenizers, float64 arithmetic and MiniLM itself say, for the package's tests."""

import argparse
import base64
import json
import random
import sys
import unicodedata
from importlib.metadata import version
from pathlib import Path

import numpy as np

import weights
from teacher import Teacher
from texts import emoji_search, lucide_search, wordnet_search

PACKAGE = Path(__file__).parent.parent
HAND_WRITTEN = [
    "", " ", "\t\n\r", "a", "Hello, World!", "don't stop", "state-of-the-art", "e-mail: me@example.com", "3.14159", "1,000,000",
    "$5.00 + 10% = ?", "C++ & C#", "snake_case camelCase", "[CLS] [SEP] [MASK]", "[UNK]", "##ing ing", "unaffable", "antidisestablishmentarianism",
    "Crème brûlée", "naïve façade", "ÅNGSTRÖM", "İstanbul ıssız", "straße STRASSE ẞ", "ΟΔΥΣΣΕΥΣ ὀδυσσεύς", "e\u0301 vs é", "ǅ ŉ ﬁ ﬀ",
    "Привет, мир", "Ёлка й", "שלום עולם", "مرحبا بالعالم", "नमस्ते दुनिया", "สวัสดีชาวโลก", "中文字符", "日本語のテキスト", "カタカナ ガギグ", "안녕하세요 세계",
    "漢字kanji混在", "𠀀𠮷野家", "😀", "I ❤️ you 👩‍👩‍👧‍👦", "🇨🇭 flag", "👍🏽 thumbs", "☃ snow ☂", "tab\tand\nnewline", "null\u0000byte", "bell\u0007 \u000bvt \u000cff",
    "zero\u200bwidth\u200djoin", "soft\u00adhyphen", "bom\ufeffinside", "replacement\ufffdcharacter", "no\u00a0break\u2003em\u3000ideographic", "line\u2028paragraph\u2029",
    "“quotes” ‘single’ «guillemets» — – …", "¿qué? ¡sí!", "a" * 99, "a" * 100, "a" * 101, "😀" * 100, "😀" * 101, "x" * 250, "é" * 100,
    "supercalifragilisticexpialidocious" * 2, "!" * 50, "a.b.c.d", "private\ue000use", "½ ² ³ ™ © № Ω", "𝒜𝓁𝓅𝒽𝒶 ＦＵＬＬ", "`^~|<>=+$", "Ⅷ ⅷ ⓐ", "q\u0323\u0307 q\u0307\u0323",
]  # fmt: skip


def settled_characters() -> list[list[str]]:
    """Characters whose category has not changed since Unicode 3.2, so that no engine's tables are too old or too new.

    Grouped by the first word of their names, which is nearly the script: drawn evenly, most would be ideographs.
    """
    old = unicodedata.ucd_3_2_0
    groups: dict[str, list[str]] = {}
    for c in map(chr, range(sys.maxunicode + 1)):
        if old.category(c) not in ("Cn", "Cs", "Co") and old.category(c) == unicodedata.category(c):
            groups.setdefault(unicodedata.name(c, "CONTROL").split(" ")[0], []).append(c)
    return list(groups.values())


def tokens_fixture(teacher: Teacher) -> dict:
    rng = random.Random(0)
    groups = settled_characters()

    def draw(count: int) -> list[str]:
        return [rng.choice(group) for group in rng.choices(groups, k=count)]

    strings = ["".join(draw(rng.randint(1, 12))) for _ in range(300)]
    between = [f"a{c}b" for c in draw(750)]
    texts = HAND_WRITTEN + strings + between + draw(750)
    return {"cases": [{"text": t, "ids": ids} for t, ids in zip(texts, teacher.token_ids(texts))]}


def embeddings_fixture(teacher: Teacher, sample: list[str]) -> dict:
    table, _ = weights.read(PACKAGE / "weights/minilm-static-256.bin")
    texts = HAND_WRITTEN[:20] + sample[::25]
    cases = []
    for text, ids in zip(texts, teacher.token_ids(texts)):
        total = table[ids].sum(axis=0)
        norm = np.linalg.norm(total)
        vector = total / norm if norm > 0 else total
        cases.append({"text": text, "float32": base64.b64encode(vector.astype("<f4").tobytes()).decode()})
    return {"cases": cases}


def similarities_fixture(teacher: Teacher, pool: list[str]) -> dict:
    """Pairs spread evenly over MiniLM's cosines, 30 from each tenth: most random pairs are simply unrelated."""
    rng = random.Random(2)
    vectors = teacher.embed(pool).astype(np.float64)
    cosines = vectors @ vectors.T
    pairs = []
    for low in np.arange(10) / 10:
        rows, columns = np.nonzero(np.triu((cosines >= low) & (cosines < low + 0.1), 1))
        chosen = rng.sample(range(len(rows)), min(30, len(rows)))
        pairs += [[pool[rows[i]], pool[columns[i]], round(cosines[rows[i], columns[i]], 4)] for i in chosen]
    return {"pairs": pairs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder with model.onnx and tokenizer.json")
    parser.add_argument("--packages", type=Path, required=True, help="node_modules folder with the data packages")
    args = parser.parse_args()
    teacher = Teacher(args.model, threads=1)
    rng = random.Random(1)
    emoji, icons, words = emoji_search(args.packages), lucide_search(args.packages), wordnet_search(args.packages, "test")
    pools = [emoji.documents, emoji.queries, icons.documents, words.documents]
    sample = [text for pool in pools for text in rng.sample(pool, 250)]
    versions = {"python": sys.version.split()[0], **{p: version(p) for p in ("tokenizers", "numpy", "onnxruntime")}}
    fixtures = {
        "tokens": tokens_fixture(teacher),
        "embeddings": embeddings_fixture(teacher, sample),
        "similarities": similarities_fixture(teacher, sample),
    }
    for name, fixture in fixtures.items():
        path = PACKAGE / f"fixtures/{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"madeBy": "distil/fixtures.py", "versions": versions, **fixture}, separators=(",", ":")) + "\n")


main()
