"""Embeds lists of texts with MiniLM: NAME.texts.json to NAME.minilm.f32, unit vectors in the same order.

usage: python embed.py MINILM NAME.texts.json...
"""

import json
import pathlib
import sys

import numpy as np
import onnxruntime
import tokenizers

BATCH = 32


def embed(session, tokenizer, texts):
    """[texts, width]: the mean of the last hidden states over the tokens, at unit length."""
    vectors = []
    for start in range(0, len(texts), BATCH):
        encoded = tokenizer.encode_batch(texts[start : start + BATCH])
        ids = np.array([e.ids for e in encoded], np.int64)
        mask = np.array([e.attention_mask for e in encoded], np.int64)
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = session.run(["last_hidden_state"], feeds)[0]
        vectors.append((hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True))
    vectors = np.concatenate(vectors)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def main():
    folder, *files = map(pathlib.Path, sys.argv[1:])
    todo = [(file, file.with_name(file.name.replace(".texts.json", ".minilm.f32"))) for file in files]
    todo = [(file, out) for file, out in todo if not out.exists() or out.stat().st_mtime < file.stat().st_mtime]
    if not todo:
        return
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(256)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    for file, out in todo:
        texts = json.loads(file.read_text())
        out.write_bytes(embed(session, tokenizer, texts).tobytes())
        print(out.name, len(texts), "texts", flush=True)


if __name__ == "__main__":
    main()
