import type { Personalizer } from "microlora";
import { clickOf, createRandom, type Query, SESSIONS } from "../first-run.js";
import { originalTrial } from "../original/trial.js";
import { type Problem, seedsFrom, type Trial } from "../problem.js";
import { createPersonalizer, endSession } from "../queries/personalizer.js";
import { remembered } from "../remembered.js";
import { type SettingName, settingOf } from "../settings.js";
import { Stopwatch } from "../stopwatch.js";
import { mrrOf } from "./quality.js";
import type { EmojiSetup } from "./setup.js";
import type { DrawUser, User } from "./users.js";

/**
 * Emoji search that learns one person's preferences, one session each, from clicks among the 50 shown.
 * @param users that are reported
 */
export function emojiProblem(setup: EmojiSetup, draw: DrawUser, users = 20): Problem {
  const seeds = { validation: seedsFrom(4000, 3), reported: seedsFrom(1, users) };
  const userOf = remembered((seed, split) => draw(setup, setup.groups[split], seed));
  return {
    quality: "MRR",
    seeds: (split) => seeds[split],
    async start(setting, knobs, seed, split) {
      const { original } = settingOf(setting);
      if (original !== undefined) return originalTrial(setup, userOf(seed, split), original, knobs, seed);
      const learner = await createPersonalizer(setting, setup.basis, knobs, seed);
      return emojiTrial(setup, userOf(seed, split), setting, learner, seed);
    },
  };
}

function emojiTrial(
  setup: EmojiSetup,
  { preferences, unrelated }: User,
  setting: SettingName,
  learner: Personalizer,
  seed: number,
): Trial {
  const { corpus, index } = setup;
  const watch = new Stopwatch();
  /** The user searches each query as often as in the first run's sessions, and clicks what is meant if it is shown. */
  const learn = (queries: readonly Query[]): void => {
    for (let search = 0; search < SESSIONS.searches; search++) {
      for (const query of queries) {
        const click = clickOf(corpus, index, learner, query);
        if (click !== null) watch.time(() => learner.learn(click));
      }
    }
  };
  return {
    tasks: preferences.length,
    learn: (task) => learn(preferences[task]!.learning),
    learnAll: () => learn(createRandom(seed).shuffle(preferences.flatMap(({ learning }) => learning))),
    endTask: () => endSession(setting, learner),
    measure: () => preferences.map(({ unseen }) => mrrOf(setup, learner, unseen)),
    measureUnrelated: () => mrrOf(setup, learner, unrelated),
    bytes: () => learner.toBytes().length,
    microseconds: () => watch.microseconds,
    [Symbol.dispose]: () => learner[Symbol.dispose](),
  };
}
