"""The teacher, all-MiniLM-L6-v2, and its WordPiece tokenizer."""

from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

CLS, SEP = 101, 102
# Rows below this one are [PAD], [UNK], [CLS], [SEP], [MASK] and placeholders that stand for no text.
FIRST_TEXT_TOKEN = 999


class Teacher:
    def __init__(self, folder: Path, threads: int):
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.tokenizer.encode_special_tokens = True  # "[SEP]" written out in a text is plain text
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)

    @property
    def vocabulary(self) -> list[str]:
        return [self.tokenizer.id_to_token(i) for i in range(self.tokenizer.get_vocab_size())]

    def token_ids(self, texts: list[str]) -> list[list[int]]:
        return [e.ids for e in self.tokenizer.encode_batch(texts, add_special_tokens=False)]

    def hidden(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return self.session.run(None, inputs)[0]

    def token_vectors(self, batch: int = 256) -> np.ndarray:
        """Mean over [CLS] t [SEP] for every token t: [vocabulary, 384]."""
        rows = []
        size = self.tokenizer.get_vocab_size()
        for start in range(0, size, batch):
            t = np.arange(start, min(size, start + batch))
            ids = np.stack([np.full_like(t, CLS), t, np.full_like(t, SEP)], axis=1)
            rows.append(self.hidden(ids, np.ones_like(ids)).mean(axis=1))
        return np.concatenate(rows)

    def embed(self, texts: list[str], max_tokens: int = 128, batch: int = 64) -> np.ndarray:
        """Mean pooling over all tokens, unit length: [texts, 384]. Texts of like length share a batch."""
        ids = [[CLS, *t[: max_tokens - 2], SEP] for t in self.token_ids(texts)]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        out = np.zeros((len(ids), 384), np.float32)
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            longest = len(ids[rows[-1]])
            tokens = np.zeros((len(rows), longest), np.int64)
            mask = np.zeros_like(tokens)
            for j, i in enumerate(rows):
                tokens[j, : len(ids[i])] = ids[i]
                mask[j, : len(ids[i])] = 1
            summed = (self.hidden(tokens, mask) * mask[:, :, None]).sum(axis=1)
            out[rows] = summed / np.linalg.norm(summed, axis=1, keepdims=True)
        return out
