import { createRandom, mean } from "../first-run.js";
import { type Problem, type Split, seedsFrom, type Trial } from "../problem.js";
import { remembered } from "../remembered.js";
import { type Setting, settingOf } from "../settings.js";
import { Stopwatch } from "../stopwatch.js";
import { AdaptedNetwork, type Example, type Head } from "./adapted-network.js";
import { type BaseNetwork, trainBase } from "./base-network.js";
import { type Image, loadImages } from "./images.js";

/** A sequence of tasks over the frozen features, and what must not change: digits as the base knows them. */
export interface DigitTasks {
  readonly tasks: readonly { readonly learning: readonly Example[]; readonly unseen: readonly Example[] }[];
  readonly head: Head;
  readonly unrelated: readonly Example[];
  /** The head that answers the unrelated requests, if it is not the one that learns. */
  readonly unrelatedHead?: Head;
}

export type DrawTasks = (base: BaseNetwork, images: readonly Image[], seed: number) => DigitTasks;

/** Images of the base's training; what follows is shared by the two splits, and no image is in both. */
const BASE_IMAGES = 4000;
const SPLIT_IMAGES = 3000;
const SEEDS = { validation: seedsFrom(100, 2), reported: seedsFrom(1, 5) };

export interface DigitSetup {
  readonly base: BaseNetwork;
  readonly images: Readonly<Record<Split, readonly Image[]>>;
}

export function digitSetup(): DigitSetup {
  const all = loadImages();
  const split = (first: number) => all.slice(first, first + SPLIT_IMAGES);
  return {
    base: trainBase(all.slice(0, BASE_IMAGES)),
    images: { validation: split(BASE_IMAGES), reported: split(BASE_IMAGES + SPLIT_IMAGES) },
  };
}

/** Digits by a frozen network with adapters on its two layers, one task after the other, each image seen once. */
export function digitProblem({ base, images }: DigitSetup, draw: DrawTasks): Problem {
  const tasksOf = remembered((seed, split) => draw(base, images[split], seed));
  return {
    quality: "accuracy",
    seeds: (split) => SEEDS[split],
    async start(setting, knobs, seed, split) {
      if (!onLayers(settingOf(setting))) return null;
      const tasks = tasksOf(seed, split);
      return digitTrial(tasks, await AdaptedNetwork.create(setting, tasks.head, knobs, seed), seed);
    },
  };
}

/** Whether a setting is one of adapters alone; the others are of clicks on documents. */
function onLayers({ original, recall, replay, detected, guarded }: Setting): boolean {
  return [original, recall, replay, detected, guarded].every((option) => option === undefined);
}

function digitTrial({ tasks, unrelated, unrelatedHead }: DigitTasks, network: AdaptedNetwork, seed: number): Trial {
  const watch = new Stopwatch();
  const accuracy = (examples: readonly Example[], head?: Head) =>
    mean(examples.map((example) => Number(network.classify(example, head) === example.label)));
  const learn = (examples: readonly Example[]): void => {
    for (const example of examples) watch.time(() => network.learn(example));
  };
  return {
    tasks: tasks.length,
    learn: (task) => learn(tasks[task]!.learning),
    learnAll: () => learn(createRandom(seed).shuffle(tasks.flatMap(({ learning }) => learning))),
    endTask: () => network.endTask(),
    measure: () => tasks.map(({ unseen }) => accuracy(unseen)),
    measureUnrelated: () => accuracy(unrelated, unrelatedHead),
    bytes: () => (network.lora.enabled ? network.lora.toBytes().length : 0),
    microseconds: () => watch.microseconds,
    [Symbol.dispose]: () => network[Symbol.dispose](),
  };
}
