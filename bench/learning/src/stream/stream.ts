import { EmbeddingIndex, type Personalizer } from "microlora";
import type { EmbedTexts } from "../embedders.js";
import { createRandom, mean } from "../first-run.js";
import { type Problem, type Split, seedsFrom, type Trial } from "../problem.js";
import { directionsFor } from "../queries/directions.js";
import { createPersonalizer, endSession, type QueryBasis } from "../queries/personalizer.js";
import { remembered } from "../remembered.js";
import { type SettingName, settingOf } from "../settings.js";
import { Stopwatch } from "../stopwatch.js";
import { loadMails, type Mail, TOPICS } from "./mails.js";
import { spamDirection } from "./spam-direction.js";

/** Mails that the base is fitted to; what follows is shared by the two splits, and no mail is in both. */
const BASE_MAILS = 2000;
const SPLIT_MAILS = 2000;
const SEEDS = { validation: seedsFrom(100, 4), reported: seedsFrom(1, 20) };

const CONTEXTS = 4;
const VISIT = 40;
/** The first mails of a visit, which tell what was still known. */
const EARLY = 10;
const RANK = 7;

/** A mail, and whether this user wants it out of the way. */
interface Judged {
  readonly mail: Mail;
  readonly unwanted: boolean;
}

interface Context {
  readonly visits: readonly (readonly Judged[])[];
  readonly unseen: readonly Judged[];
}

/**
 * One user's idea of spam: mails of one topic come for a while, then of another; in half of the topics the user sees it
 * the other way round from everybody else.
 */
interface User {
  readonly contexts: readonly Context[];
  /** The first context once more, after the user has changed their mind about it. */
  readonly drifted: Context;
  readonly unrelated: readonly Judged[];
}

interface StreamSetup {
  readonly index: EmbeddingIndex;
  readonly basis: QueryBasis;
  readonly mails: Readonly<Record<Split, readonly Mail[]>>;
}

const UNWANTED = "unwanted";
const LABELS = ["wanted", UNWANTED] as const;

async function streamSetup(embed: EmbedTexts): Promise<StreamSetup> {
  const all = await loadMails(embed);
  const known = all.slice(0, BASE_MAILS);
  const unwanted = spamDirection(known);
  const wanted = unwanted.map((value) => -value);
  const split = (first: number) => all.slice(first, first + SPLIT_MAILS);
  return {
    index: await EmbeddingIndex.create([
      [LABELS[0], wanted],
      [LABELS[1], unwanted],
    ]),
    basis: {
      dimensions: unwanted.length,
      temperature: 0.2,
      directions: await directionsFor(
        known.map(({ vector }) => vector),
        RANK,
        1,
      ),
      scaling: 1,
      recallBytes: 46 * 1024,
      shown: LABELS.length,
    },
    mails: { validation: split(BASE_MAILS), reported: split(BASE_MAILS + SPLIT_MAILS) },
  };
}

/** Mails in their topics' turns, learned one by one; then every topic once more, then one that means something else now. */
export async function streamProblem(embed: EmbedTexts): Promise<Problem> {
  const setup = await streamSetup(embed);
  const userOf = remembered((seed, split) => drawUser(setup.mails[split], seed));
  return {
    quality: "accuracy",
    seeds: (split) => SEEDS[split],
    async start(setting, knobs, seed, split) {
      if (settingOf(setting).original !== undefined) return null;
      const learner = await createPersonalizer(setting, setup.basis, knobs, seed);
      return streamTrial(setup.index, userOf(seed, split), setting, learner, seed);
    },
  };
}

function drawUser(mails: readonly Mail[], seed: number): User {
  const random = createRandom(seed);
  const topics = random.shuffle([...Array(TOPICS).keys()]);
  const shuffled = random.shuffle(mails);
  const context = (topic: number, otherWay: boolean, first: number, visits: number): Context => {
    const judged = shuffled
      .filter((mail) => mail.topic === topic)
      .slice(first)
      .map((mail) => ({ mail, unwanted: mail.spam !== otherWay }));
    return {
      visits: Array.from({ length: visits }, (_, i) => judged.slice(i * VISIT, (i + 1) * VISIT)),
      unseen: judged.slice(visits * VISIT),
    };
  };
  return {
    contexts: topics.slice(0, CONTEXTS).map((topic, i) => context(topic, i % 2 === 0, 0, 2)),
    drifted: context(topics[0]!, false, 2 * VISIT, 1),
    unrelated: shuffled
      .filter(({ topic }) => topics.indexOf(topic) >= CONTEXTS)
      .map((mail) => ({ mail, unwanted: mail.spam })),
  };
}

function streamTrial(
  index: EmbeddingIndex,
  { contexts, drifted, unrelated }: User,
  setting: SettingName,
  learner: Personalizer,
  seed: number,
): Trial {
  const watch = new Stopwatch();
  const isRight = ({ mail, unwanted }: Judged) =>
    (learner.search(mail.vector, index, 1)[0]?.id === UNWANTED) === unwanted;
  const accuracy = (mails: readonly Judged[]) => mean(mails.map((mail) => Number(isRight(mail))));
  /** Answers each mail first, then learns from it; whether each answer was right. */
  const visit = (mails: readonly Judged[]): boolean[] =>
    mails.map((judged) => {
      const right = isRight(judged);
      watch.time(() => learn(learner, index, judged));
      return right;
    });
  const answers: boolean[] = [];
  return {
    tasks: contexts.length,
    learn(task) {
      answers.push(...visit(contexts[task]!.visits[0]!));
    },
    learnAll() {
      const first = contexts.flatMap(({ visits }) => visits[0]!);
      const right = visit(createRandom(seed).shuffle(first));
      if (answers.length === 0) answers.push(...right);
    },
    endTask: () => endSession(setting, learner),
    measure: () => contexts.map(({ unseen }) => accuracy(unseen)),
    measureUnrelated: () => accuracy(unrelated),
    goOn() {
      const returns = contexts.map(({ visits: [, second] }) => {
        const right = visit(second!);
        endSession(setting, learner);
        return right;
      });
      visit(drifted.visits[0]!);
      return {
        prequential: mean([...answers, ...returns.flat()].map(Number)),
        onReturn: mean(returns.flatMap((right) => right.slice(0, EARLY).map(Number))),
        afterDrift: accuracy(drifted.unseen),
        restAfterDrift: mean(contexts.slice(1).map(({ unseen }) => accuracy(unseen))),
      };
    },
    bytes: () => learner.toBytes().length,
    microseconds: () => watch.microseconds,
    [Symbol.dispose]: () => learner[Symbol.dispose](),
  };
}

function learn(learner: Personalizer, index: EmbeddingIndex, { mail, unwanted }: Judged): void {
  learner.learn({ query: mail.vector, chosen: LABELS[Number(unwanted)]!, shown: LABELS, index });
}
