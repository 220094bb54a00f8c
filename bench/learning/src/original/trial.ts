import { mrrOf, type QueryTransform } from "../emoji/quality.js";
import type { EmojiSetup } from "../emoji/setup.js";
import type { User } from "../emoji/users.js";
import { clickOf, createRandom, mean, type Query, SESSIONS, TASK } from "../first-run.js";
import type { Knobs } from "../knobs.js";
import type { Trial } from "../problem.js";
import type { OriginalFeedback } from "../settings.js";
import { clickGradient } from "./click-gradient.js";
import { OriginalProcess } from "./process.js";

/** The Rust original on the emoji problems; null where it cannot be built. */
export async function originalTrial(
  setup: EmojiSetup,
  { preferences, unrelated }: User,
  feedback: OriginalFeedback,
  { learningRate, lambda }: Knobs,
  seed: number,
): Promise<Trial | null> {
  const { corpus, index, basis } = setup;
  const original = OriginalProcess.start();
  if (original === null) return null;
  await original.ask("create", { dimensions: basis.dimensions, learningRate, lambda });
  const times: number[] = [];

  /** The queries as this user means them, x + delta(x). */
  const transform = async (queries: readonly Float32Array[]): Promise<Float32Array[]> => {
    const deltas = await original.ask("forward", { inputs: queries.map((query) => [...query]) });
    return queries.map((query, row) => query.map((value, i) => value + deltas[row]![i]!));
  };
  const search = async (query: Query): Promise<void> => {
    const x = corpus.keywordVectors[query.keyword]!;
    const [y] = await transform([x]);
    const hits = index.search(y!, TASK.shown);
    const click = clickOf(corpus, index, { search: () => hits }, query);
    if (click === null) return;
    const shown = click.shown.map((row) => corpus.documentVectors[row]!);
    const gradient = () => [...clickGradient(y!, shown, click.shown.indexOf(click.chosen), basis.temperature)];
    times.push(await original.ask("adapt", { input: [...x], gradient: feedback === "gradient" ? gradient() : null }));
  };
  const learn = async (queries: readonly Query[]): Promise<void> => {
    for (let round = 0; round < SESSIONS.searches; round++) for (const query of queries) await search(query);
  };
  /** All queries transformed in one call. */
  const lookUp = async (queries: readonly Query[]): Promise<QueryTransform> => {
    const vectors = queries.map(({ keyword }) => corpus.keywordVectors[keyword]!);
    const transformed = await transform(vectors);
    const known = new Map(vectors.map((vector, i) => [vector, transformed[i]!]));
    return { transform: (query) => known.get(query)! };
  };
  return {
    tasks: preferences.length,
    learn: (task) => learn(preferences[task]!.learning),
    learnAll: () => learn(createRandom(seed).shuffle(preferences.flatMap(({ learning }) => learning))),
    async endTask() {
      await original.ask("consolidate");
    },
    async measure() {
      const learner = await lookUp(preferences.flatMap(({ unseen }) => unseen));
      return preferences.map(({ unseen }) => mrrOf(setup, learner, unseen));
    },
    measureUnrelated: async () => mrrOf(setup, await lookUp(unrelated), unrelated),
    bytes: () => original.ask("bytes"),
    microseconds: () => mean(times),
    [Symbol.dispose]: () => original[Symbol.dispose](),
  };
}
