"""Embeds the texts of FOLDER/corpus.json with all-MiniLM-L6-v2: minilm.py FOLDER MODEL (a folder with model.onnx)."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from transformers import AutoTokenizer

folder, model = map(Path, sys.argv[1:])
tokenizer = AutoTokenizer.from_pretrained(model)
session = onnxruntime.InferenceSession(model / "model.onnx")


def embed(texts: list[str]) -> np.ndarray:
    """Mean pooling, unit length."""
    vectors = np.zeros((len(texts), 384), np.float32)
    by_length = np.argsort([len(text) for text in texts])
    for start in range(0, len(texts), 128):
        rows = by_length[start : start + 128]
        batch = dict(tokenizer([texts[row] for row in rows], padding=True, return_tensors="np"))
        hidden = session.run(None, {name: ids.astype(np.int64) for name, ids in batch.items()})[0]
        mask = batch["attention_mask"][..., None]
        pooled = (hidden * mask).sum(1) / mask.sum(1)
        vectors[rows] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    return vectors


corpus = json.loads((folder / "corpus.json").read_text())
embed([emoji["name"] for emoji in corpus["documents"]]).tofile(folder / "minilm-documents.f32")
embed([keyword["text"] for keyword in corpus["keywords"]]).tofile(folder / "minilm-keywords.f32")
