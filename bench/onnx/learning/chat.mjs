import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";

/** The label of a token that is not to be learned. */
export const IGNORED = -100;

/** Questions with answers as one batch of a chat model: feeds, and labels on the answers alone; `system` goes before each. */
export function openChat(folder) {
  const [tokenizer, config] = ["tokenizer.json", "tokenizer_config.json"].map((name) =>
    JSON.parse(readFileSync(join(folder, name), "utf8")),
  );
  const encoder = new Tokenizer(tokenizer, config);
  const idsOf = (text) => encoder.encode(text, { add_special_tokens: false }).ids;
  return (pairs, system) => {
    const prompt = system === undefined ? "" : `<|im_start|>system\n${system}<|im_end|>\n`;
    const rows = pairs.map(([question, answer]) => {
      const asked = idsOf(`${prompt}<|im_start|>user\n${question}<|im_end|>\n<|im_start|>assistant\n`);
      const told = idsOf(`${answer}<|im_end|>`);
      return { ids: [...asked, ...told], labels: [...asked.map(() => IGNORED), ...told] };
    });
    const width = Math.max(...rows.map(({ ids }) => ids.length));
    const padded = (at) => rows.map((row) => Array.from({ length: width }, (_, i) => at(row, i)));
    const int64 = (values) => ({
      type: "int64",
      dims: [rows.length, width],
      data: BigInt64Array.from(values.flat(), BigInt),
    });
    return {
      feeds: {
        input_ids: int64(padded(({ ids }, i) => ids[i] ?? 0)),
        attention_mask: int64(padded(({ ids }, i) => (i < ids.length ? 1 : 0))),
      },
      labels: padded(({ labels }, i) => labels[i] ?? IGNORED),
    };
  };
}

/** By pair, from logits [rows, tokens, vocabulary]: mean log-probability of the answer's tokens, and whether each one was the likeliest. */
export function scoreAnswers({ data, dims }, labels) {
  const [, tokens, vocabulary] = dims;
  return labels.map((row, i) => {
    let sum = 0;
    let count = 0;
    let isGreedy = true;
    for (let token = 1; token < tokens; token++) {
      if (row[token] === IGNORED) continue;
      const first = (i * tokens + token - 1) * vocabulary;
      const logits = data.subarray(first, first + vocabulary);
      const most = logits.reduce((max, value) => Math.max(max, value), Number.NEGATIVE_INFINITY);
      let total = 0;
      for (const value of logits) total += Math.exp(value - most);
      sum += logits[row[token]] - most - Math.log(total);
      count++;
      if (logits[row[token]] < most) isGreedy = false;
    }
    return { logProbability: sum / count, isGreedy };
  });
}
