import { readFileSync } from "node:fs";
import { join } from "node:path";
import { METHODS } from "microlora";
import { expect, test } from "vitest";
import { tokenNll } from "../index.js";
import { openFixture } from "../testing/models.test-support.js";
import { ModelLearner } from "./model-learner.js";

// Written, with the losses of then, by scripts/goldens/checkpoints/make.sh.
const FOLDER = join(import.meta.dirname, "../../../microlora/src/goldens");

function tokens(k: number) {
  const data = BigInt64Array.from([3, 14, 15, 92], (token) => BigInt((token + 7 * k) % 97));
  return { type: "int64" as const, dims: [1, 4], data };
}

function request(k: number) {
  const mask = { ...tokens(k), data: new BigInt64Array(4).fill(1n) };
  return { feeds: { input_ids: tokens(k), attention_mask: mask }, loss: tokenNll({ labels: tokens(k) }) };
}

test("a ModelLearner of version 3 learns on as it did then, and goes on in the version of now", async () => {
  const expected = JSON.parse(readFileSync(join(FOLDER, "expected-3.json"), "utf8"));
  const { losses } = expected["model-learner"] as { readonly losses: readonly number[] };
  await using model = await openFixture("gpt2-legacy", { targets: ["q_proj"] });
  const bytes = readFileSync(join(FOLDER, "model-learner-3.mlora"));
  const first = await ModelLearner.fromBytes(model, bytes, { methods: METHODS });
  const second = await ModelLearner.fromBytes(model, await first.toBytes(), { methods: METHODS });
  for (const learner of [first, second]) {
    for (const [i, loss] of losses.entries()) {
      expect((await learner.learn(request(3 + i))).loss).toBeCloseTo(loss, 4);
    }
    learner.adapter.close();
  }
});
