"""Distils all-MiniLM-L6-v2 into a table of token vectors: ../weights/minilm-static-256.bin."""

import argparse
from pathlib import Path

import numpy as np

import student
import weights
from teacher import Teacher
from texts import training_texts

TEXTS = 245_760
EPOCHS = 3
RATE = 0.002


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder with model.onnx and tokenizer.json")
    parser.add_argument("--packages", type=Path, required=True, help="node_modules folder with the data packages")
    parser.add_argument("--cache", type=Path, help="file (.npy) that keeps the teacher's embeddings between runs")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "weights/minilm-static-256.bin")
    args = parser.parse_args()

    teacher = Teacher(args.model, args.threads)
    texts = training_texts(args.packages, TEXTS)
    if args.cache and args.cache.exists():
        targets = np.load(args.cache)
    else:
        targets = teacher.embed(texts, max_tokens=64)
        if args.cache:
            np.save(args.cache, targets)
    if len(targets) != len(texts):
        raise SystemExit(f"{args.cache} holds {len(targets)} embeddings for {len(texts)} texts: delete it")

    axes = student.principal_axes(targets)
    table = student.initial(teacher.token_vectors(), axes)
    bags = student.counts(teacher.token_ids(texts), len(table))
    table = student.train(table, bags, targets @ axes, EPOCHS, RATE)
    args.out.parent.mkdir(exist_ok=True)
    weights.write(args.out, table, teacher.vocabulary)
    print(f"wrote {args.out}: {args.out.stat().st_size} bytes")


main()
