import type { MicroLora } from "microlora";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { floats, type HostTensor } from "../base/host-tensor.js";
import { combine, cosine, dpo, infoNce, klToBase, kto, type Loss, tokenNll, triplet, vjp } from "../index.js";
import type { Feeds } from "../run/feeds.js";
import { feedsOf, openFixture, randomOf } from "../testing/models.test-support.js";
import type { LoraModel } from "./lora-model.js";

type Rows = readonly (readonly number[])[];
type Reference = (output: Tensor3, base: Tensor3, feeds: Feeds) => number;

/** An output [rows, tokens, width] as nested arrays of doubles. */
type Tensor3 = readonly Rows[];

const LABELS = [
  [1, 2, 3, 4, 5],
  [-100, -100, 7, 8, 9],
  [3, 1, 4, 1, 5],
  [2, 7, 1, 8, 2],
];
const DESIRABLE = [true, false, true, false];

const TOKEN_CASES: Readonly<Record<string, readonly [Loss, Reference]>> = {
  "token NLL": [
    tokenNll({ labels: LABELS }),
    (logits) => mean(labelled(LABELS).map(([row, token, label]) => -logProb(logits[row]![token]!, label))),
  ],
  "token NLL, weighted rows, summed": [
    tokenNll({ labels: LABELS, weights: [1, -0.5, 2, 0], reduction: "sum" }),
    (logits) =>
      sum(labelled(LABELS).map(([row, token, label]) => -[1, -0.5, 2, 0][row]! * logProb(logits[row]![token]!, label))),
  ],
  "token NLL, weighted tokens": [
    tokenNll({ labels: LABELS, weights: LABELS.map((row) => row.map((_, i) => i / 2)) }),
    (logits) =>
      mean(labelled(LABELS).map(([row, token, label]) => (-(token + 1) / 2) * logProb(logits[row]![token]!, label))),
  ],
  DPO: [
    dpo({ labels: LABELS, beta: 0.5, weights: [1, 3] }),
    (logits, base) => {
      const ratios = LABELS.map((_, row) => sequence(logits, row) - sequence(base, row));
      const pair = (i: number) => Math.log1p(Math.exp(-0.5 * (ratios[2 * i]! - ratios[2 * i + 1]!)));
      return (pair(0) + 3 * pair(1)) / 2;
    },
  ],
  KTO: [
    kto({ labels: LABELS, desirable: DESIRABLE, beta: 0.5, referencePoint: 0.1 }),
    (logits, base) =>
      mean(
        DESIRABLE.map((good, row) => {
          const distance = 0.5 * (sequence(logits, row) - sequence(base, row)) - 0.1;
          return 1 - 1 / (1 + Math.exp(good ? -distance : distance));
        }),
      ),
  ],
  "KL to the base, beside the NLL": [
    combine([
      [0.3, tokenNll({ labels: LABELS })],
      [2, klToBase()],
    ]),
    (logits, base, feeds) => {
      const nll = mean(labelled(LABELS).map(([row, token, label]) => -logProb(logits[row]![token]!, label)));
      const places = masked(feeds);
      return 0.3 * nll + 2 * mean(places.map(([row, token]) => divergence(logits[row]![token]!, base[row]![token]!)));
    },
  ],
};

const RANDOM = randomOf(5);
const DOCUMENTS = { data: Float32Array.from({ length: 6 * 32 }, () => RANDOM()), dims: [6, 32] as const };

const EMBEDDING_CASES: Readonly<Record<string, readonly [Loss, Reference]>> = {
  "InfoNCE among rows": [
    infoNce({ anchors: [0, 1], candidates: [2, 3], chosen: [0, 1], temperature: 0.1, weights: [1, 2] }),
    (hidden, _, feeds) => {
      const e = embeddings(hidden, feeds, true);
      const term = (i: number) => -logProb([dot(e[i]!, e[2]!) / 0.1, dot(e[i]!, e[3]!) / 0.1], i);
      return (term(0) + 2 * term(1)) / 2;
    },
  ],
  "InfoNCE against fixed vectors": [
    infoNce({ anchors: [0, 1, 2, 3], candidates: DOCUMENTS, chosen: [0, 5, 2, 2], temperature: 0.5 }),
    (hidden, _, feeds) => {
      const documents = Array.from({ length: 6 }, (__, i) => Array.from(DOCUMENTS.data.subarray(32 * i, 32 * i + 32)));
      const scores = embeddings(hidden, feeds, true).map((e) => documents.map((document) => dot(e, document) / 0.5));
      return mean(scores.map((row, i) => -logProb(row, [0, 5, 2, 2][i]!)));
    },
  ],
  triplet: [
    triplet({ anchors: [0, 1], positives: [1, 2], negatives: [2, 3], margin: 2, normalize: false }),
    (hidden, _, feeds) => {
      const e = embeddings(hidden, feeds, false);
      const distance = (a: number, b: number) => sum(e[a]!.map((value, i) => (value - e[b]![i]!) ** 2));
      return mean([0, 1].map((i) => Math.max(0, 2 + distance(i, i + 1) - distance(i, i + 2))));
    },
  ],
  cosine: [
    cosine({ left: [0, 1], right: [2, 3], targets: [0.5, -0.5] }),
    (hidden, _, feeds) => {
      const e = embeddings(hidden, feeds, true);
      return mean([(dot(e[0]!, e[2]!) - 0.5) ** 2, (dot(e[1]!, e[3]!) + 0.5) ** 2]);
    },
  ],
};

describe.each([
  ["llama-dynamo", "logits", TOKEN_CASES],
  ["bert-legacy", "last_hidden_state", EMBEDDING_CASES],
] as const)("losses on %s", (name, output, cases) => {
  const feeds = feedsOf(name, 4, 5);
  let model: LoraModel;
  let adapter: MicroLora;

  beforeAll(async () => {
    model = await openFixture(name, { targets: ["q_proj", "down_proj"] });
    adapter = await model.createAdapter({ rank: 1 });
    const random = randomOf(2);
    for (const module of model.modules) {
      const { loraB } = adapter.getAdapter(module.name)!;
      for (let i = 0; i < loraB.length; i++) loraB[i] = random();
    }
  });
  afterAll(() => model[Symbol.asyncDispose]());

  test.each(Object.entries(cases))("%s has the value of its formula", async (_, [loss, reference]) => {
    const adapted = nested((await model.run(feeds, { adapters: adapter }))[output]!);
    const base = nested((await model.run(feeds))[output]!);
    const { loss: value } = await model.gradients({ feeds, loss }, { adapter });
    const expected = reference(adapted, base, feeds);
    expect(Math.abs(value - expected)).toBeLessThan(2e-5 * Math.max(1, Math.abs(expected)));
  });

  test.each(Object.entries(cases))("%s is differentiated", async (_, [loss]) => {
    await expectDirectionalDerivative(model, adapter, feeds, loss);
  });

  test("micro-batches give the same as the whole batch, where the loss allows them", async () => {
    for (const [loss] of Object.values(cases)) {
      const whole = await model.gradients({ feeds, loss }, { adapter });
      if (loss.group === undefined) {
        await expect(model.gradients({ feeds, loss, microBatch: 2 }, { adapter })).rejects.toMatchObject({
          code: "out-of-range",
        });
        continue;
      }
      const parts = await model.gradients({ feeds, loss, microBatch: 2 }, { adapter });
      expect(Math.abs(parts.loss - whole.loss)).toBeLessThan(1e-5 * Math.max(1, Math.abs(whole.loss)));
      for (const [module, { loraA }] of whole.gradients.get(adapter)!) {
        const other = parts.gradients.get(adapter)!.get(module)!.loraA;
        const scale = Math.max(...loraA.map(Math.abs));
        expect(Math.max(...loraA.map((value, i) => Math.abs(value - other[i]!)))).toBeLessThan(1e-4 * scale + 1e-7);
      }
    }
  });

  test("a gradient of an output that the caller computes", async () => {
    const { dims } = (await model.run(feeds))[output]!;
    const random = randomOf(7);
    const gradient = floats(
      Float32Array.from({ length: dims.reduce((a, b) => a * b) }, () => random()),
      dims,
    );
    await expectDirectionalDerivative(model, adapter, feeds, vjp({ [output]: gradient }));
  });
});

async function expectDirectionalDerivative(
  model: LoraModel,
  adapter: MicroLora,
  feeds: Feeds,
  loss: Loss,
): Promise<void> {
  const { gradients } = await model.gradients({ feeds, loss }, { adapter });
  const random = randomOf(11);
  const moves = [...gradients.get(adapter)!].flatMap(([module, gradient]) =>
    (["loraA", "loraB"] as const).map((part) => {
      const weights = adapter.getAdapter(module)![part];
      return { weights, start: weights.slice(), gradient: gradient[part], direction: weights.map(() => random()) };
    }),
  );
  const lossAt = async (step: number) => {
    for (const { weights, start, direction } of moves)
      weights.set(start.map((value, i) => value + step * direction[i]!));
    return (await model.gradients({ feeds, loss }, { adapter })).loss;
  };
  const step = 2e-3;
  const numeric = ((await lossAt(step)) - (await lossAt(-step))) / (2 * step);
  await lossAt(0);
  const exact = sum(moves.map(({ direction, gradient }) => dot([...direction], [...gradient])));
  expect(Math.abs(exact - numeric)).toBeLessThan(2e-3 + 0.01 * Math.abs(numeric));
}

function nested({ data, dims }: HostTensor): Tensor3 {
  const [rows = 0, tokens = 0, width = 0] = dims;
  const values = Array.from(data as Float32Array);
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: tokens }, (__, token) =>
      values.slice((row * tokens + token) * width, (row * tokens + token + 1) * width),
    ),
  );
}

/** The last two tokens of the last row are padding in the feeds, which teaches nothing. */
const isPadding = (row: number, token: number) => row === 3 && token >= 3;

/** [row, place that predicts, label] of every label. */
function labelled(labels: Rows): readonly (readonly [number, number, number])[] {
  return labels.flatMap((row, i) =>
    row.flatMap((label, token) =>
      token === 0 || label === -100 || isPadding(i, token) ? [] : [[i, token - 1, label] as const],
    ),
  );
}

function sequence(logits: Tensor3, row: number): number {
  return sum(labelled(LABELS).map(([r, token, label]) => (r === row ? logProb(logits[r]![token]!, label) : 0)));
}

function masked(feeds: Feeds): readonly (readonly [number, number])[] {
  const { data, dims } = feeds.attention_mask!;
  const width = dims[1]!;
  return Array.from(data as BigInt64Array).flatMap((on, i) =>
    on === 0n ? [] : [[Math.floor(i / width), i % width] as const],
  );
}

function embeddings(hidden: Tensor3, feeds: Feeds, normalize: boolean): Rows {
  return hidden.map((tokens, row) => {
    const places = masked(feeds).filter(([r]) => r === row);
    const pooled = tokens[0]!.map((_, i) => mean(places.map(([, token]) => tokens[token]![i]!)));
    return normalize ? pooled.map((value) => value / Math.sqrt(dot(pooled, pooled))) : pooled;
  });
}

function divergence(logits: readonly number[], base: readonly number[]): number {
  return sum(logits.map((_, i) => Math.exp(logProb(logits, i)) * (logProb(logits, i) - logProb(base, i))));
}

function logProb(scores: readonly number[], index: number): number {
  const largest = Math.max(...scores);
  return scores[index]! - largest - Math.log(sum(scores.map((score) => Math.exp(score - largest))));
}

function dot(a: readonly number[], b: readonly number[]): number {
  return sum(a.map((value, i) => value * b[i]!));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}
