import { createRandom } from "../first-run.js";
import { exampleOf } from "./adapted-network.js";
import { DIGITS, HIDDEN } from "./base-network.js";
import type { DrawTasks } from "./digits.js";
import { type Image, PIXELS } from "./images.js";

const TASKS = 5;
const LEARNED = 400;
const TESTED = 150;
const UNRELATED = 300;

/** Permuted digits: in each task the pixels of all ten digits lie in another order. Unrelated: digits that stand upright. */
export const permutedTasks: DrawTasks = (base, images, seed) => {
  const random = createRandom(seed);
  const pool = random.shuffle(images);
  const learned = pool.slice(0, LEARNED);
  const tested = pool.slice(LEARNED, LEARNED + TESTED);
  const tasks = Array.from({ length: TASKS }, () => {
    const order = random.shuffle([...Array(PIXELS).keys()]);
    const permuted = ({ pixels, digit }: Image) =>
      exampleOf(
        base,
        Float32Array.from(order, (pixel) => pixels[pixel]!),
        digit,
      );
    return { learning: random.shuffle(learned).map(permuted), unseen: tested.map(permuted) };
  });
  const upright = pool.slice(LEARNED + TESTED, LEARNED + TESTED + UNRELATED);
  return {
    tasks,
    head: { weights: base.output, bias: base.outputBias },
    unrelated: upright.map(({ pixels, digit }) => exampleOf(base, pixels, digit)),
  };
};

/**
 * Split digits: which of two digits, five pairs one after the other, all by one head of two classes that starts from zero.
 * Unrelated: what the base's own head says of all ten digits, as it shares the hidden layer that adapts.
 */
export const splitTasks: DrawTasks = (base, images, seed) => {
  const random = createRandom(seed);
  const pool = random.shuffle(images);
  const order = random.shuffle([...Array(DIGITS).keys()]);
  const tasks = Array.from({ length: TASKS }, (_, task) => {
    const pair = order.slice(2 * task, 2 * task + 2);
    const examples = pool
      .filter(({ digit }) => pair.includes(digit))
      .slice(0, LEARNED + TESTED)
      .map(({ pixels, digit }) => exampleOf(base, pixels, pair.indexOf(digit)));
    return { learning: examples.slice(0, LEARNED), unseen: examples.slice(LEARNED) };
  });
  return {
    tasks,
    head: { weights: new Float32Array(2 * HIDDEN), bias: new Float32Array(2) },
    unrelated: pool.slice(-UNRELATED).map(({ pixels, digit }) => exampleOf(base, pixels, digit)),
    unrelatedHead: { weights: base.output, bias: base.outputBias },
  };
};
