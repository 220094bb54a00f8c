import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { digitProblem, digitSetup } from "./digits/digits.js";
import { permutedTasks, splitTasks } from "./digits/tasks.js";
import { type EmbedTexts, miniLmEmbedder, staticEmbedder } from "./embedders.js";
import { emojiProblem } from "./emoji/emoji.js";
import { type EmojiSetup, emojiSetup } from "./emoji/setup.js";
import { compatibleUser, contradictingUser, type DrawUser } from "./emoji/users.js";
import type { Problem } from "./problem.js";
import { streamProblem } from "./stream/stream.js";

export interface ProblemEntry {
  readonly title: string;
  /** The problem whose hyper-parameters it takes, as a learner cannot know which of the two it will meet; its own by default. */
  readonly tunedOn?: string;
  /** null where what it needs is not on this machine. */
  load(): Promise<Problem | null>;
}

const ROOT = resolve(import.meta.dirname, "../../..");
/** Folder of all-MiniLM-L6-v2: `model.onnx` and the tokenizer's files. */
export const MINILM = resolve(ROOT, process.env.MINILM ?? "../shared/models/minilm");

/** Users whose tastes contradict one another, on the embeddings where gains are smallest, so that intervals decide. */
const CONTRADICTED = 40;

const onStatic = once(async () => emojiSetup(await staticEmbedder()));
const onMiniLm = once(() => withMiniLm(emojiSetup));
const digits = once(async () => digitSetup());

/** Every problem, in the order of the tables. */
export const PROBLEMS = {
  "emoji-compatible": {
    title: "Emoji, compatible tastes, static embeddings",
    load: async () => emojiProblem(await onStatic(), compatibleUser),
  },
  "emoji-contradicting": {
    title: "Emoji, contradicting tastes, static embeddings",
    tunedOn: "emoji-compatible",
    load: async () => emojiProblem(await onStatic(), contradictingUser, CONTRADICTED),
  },
  "emoji-compatible-minilm": {
    title: "Emoji, compatible tastes, MiniLM",
    load: async () => emojiOn(await onMiniLm(), compatibleUser),
  },
  "emoji-contradicting-minilm": {
    title: "Emoji, contradicting tastes, MiniLM",
    tunedOn: "emoji-compatible-minilm",
    load: async () => emojiOn(await onMiniLm(), contradictingUser),
  },
  "digits-permuted": {
    title: "Permuted digits",
    load: async () => digitProblem(await digits(), permutedTasks),
  },
  "digits-split": {
    title: "Split digits",
    load: async () => digitProblem(await digits(), splitTasks),
  },
  spam: {
    title: "One user's idea of spam: returning contexts and drift",
    load: async () => streamProblem(await staticEmbedder()),
  },
} as const satisfies Readonly<Record<string, ProblemEntry>>;

export type ProblemName = keyof typeof PROBLEMS;
export function entryOf(name: ProblemName): ProblemEntry {
  return PROBLEMS[name];
}

export const PROBLEM_NAMES = Object.keys(PROBLEMS) as ProblemName[];

function emojiOn(setup: EmojiSetup | null, draw: DrawUser): Problem | null {
  return setup && emojiProblem(setup, draw);
}

async function withMiniLm<T>(build: (embed: EmbedTexts) => Promise<T>): Promise<T | null> {
  return existsSync(join(MINILM, "model.onnx")) ? build(miniLmEmbedder(MINILM)) : null;
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
