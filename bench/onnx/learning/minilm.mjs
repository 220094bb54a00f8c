import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import * as ort from "onnxruntime-node";
import { openModel } from "../../../packages/onnx/dist/node.js";

const BATCH = 64;

/** MiniLM with adapters on the modules that `targets` names, and its tokenizer; `folder` holds `model.onnx` and the tokenizer's files. */
export async function openMiniLm(folder, targets) {
  const [tokenizer, config] = ["tokenizer.json", "tokenizer_config.json"].map((name) =>
    JSON.parse(readFileSync(join(folder, name), "utf8")),
  );
  const encode = new Tokenizer(tokenizer, config);
  const model = await openModel(join(folder, "model.onnx"), { ort, targets });
  const feedsOf = (texts) => {
    const ids = texts.map((text) => encode.encode(text).ids);
    const width = Math.max(...ids.map(({ length }) => length));
    const padded = (at) => ids.map((row) => Array.from({ length: width }, (_, i) => at(row, i)));
    return model.complete({
      input_ids: int64(padded((row, i) => row[i] ?? 0)),
      attention_mask: int64(padded((row, i) => (i < row.length ? 1 : 0))),
      token_type_ids: int64(padded(() => 0)),
    });
  };
  return { model, feedsOf, embed: (texts, adapters) => embed(model, feedsOf, texts, adapters) };
}

function int64(rows) {
  return { type: "int64", dims: [rows.length, rows[0].length], data: BigInt64Array.from(rows.flat(), BigInt) };
}

/** Unit vectors, one a text: the mean over its tokens. Texts of like length share a batch. */
async function embed(model, feedsOf, texts, adapters) {
  const vectors = new Array(texts.length);
  const order = [...texts.keys()].sort((a, b) => texts[a].length - texts[b].length);
  for (let from = 0; from < order.length; from += BATCH) {
    const rows = order.slice(from, from + BATCH);
    const feeds = feedsOf(rows.map((row) => texts[row]));
    const { last_hidden_state: states } = await model.run(feeds, { adapters });
    const [, tokens, width] = states.dims;
    for (const [i, row] of rows.entries()) {
      const sum = new Float32Array(width);
      for (let token = 0; token < tokens; token++) {
        const first = (i * tokens + token) * width;
        if (feeds.attention_mask.data[i * tokens + token] === 1n)
          for (let k = 0; k < width; k++) sum[k] += states.data[first + k];
      }
      const norm = Math.hypot(...sum);
      vectors[row] = sum.map((value) => value / norm);
    }
  }
  return vectors;
}
