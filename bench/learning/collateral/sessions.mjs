// Gain against collateral of `Personalizer`'s settings on users of the tuning groups who come back session by session, each query
// searched eight times:
//   node collateral/sessions.mjs static|minilm      after `npm run build`, in bench/learning; MINILM as for the benchmark
// Writes and prints, for each variant and kind of user, the mean gain in MRR over all sessions' unseen queries at the end, and the
// change of MRR on unrelated keywords in percent. Rows that the file has are kept. The reported users are never looked at here.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { Personalizer } from "microlora";
import { miniLmEmbedder, staticEmbedder } from "../dist/embedders.js";
import { mrrOf } from "../dist/emoji/quality.js";
import { emojiSetup } from "../dist/emoji/setup.js";
import { compatibleUser, contradictingUser } from "../dist/emoji/users.js";
import { buildTask, clickOf, mean, SESSIONS, TASK } from "../dist/first-run.js";
import { MINILM } from "../dist/problems.js";
import { directionsFor } from "../dist/queries/directions.js";

const SEEDS = [4100, 4101, 4102, 4103, 4104, 4105];
const UNRELATED = 300;
const KINDS = { compatible: compatibleUser, contradicting: contradictingUser, two: userOfTwoGroups };

const BEFORE = { sharpness: 14, strength: 0.27, nullSimilarity: 0.2, mergeSimilarity: null };
const ONE_PLACE = { ...BEFORE, mergeSimilarity: 0.9 };
const NARROW = { ...ONE_PLACE, sharpness: 28, nullSimilarity: 0.35 };
const EVERYWHERE = { gated: false, learningRate: 0.0015 };
const GATED = { gated: true, learningRate: 0.0015 };
const FASTER = { gated: true, learningRate: 0.0045 };

/**
 * What differs from the default, by name; `directions` is a rank, with A along the documents, and `learned` the rate at which the
 * temperatures that it names follow the loss of each click.
 */
const VARIANTS = {
  default: {},
  "before: a place a click": { recall: BEFORE, slow: EVERYWHERE },
  "before, room for four times the clicks": { recall: { ...BEFORE, bytes: 2 ** 20 }, slow: EVERYWHERE },
  "before, no recall": { recall: false, slow: EVERYWHERE },
  "before, lambda 3000": { recall: BEFORE, slow: { ...EVERYWHERE, ewcLambda: 3000 } },
  "before, slow rate x 3": { recall: BEFORE, slow: { ...EVERYWHERE, learningRate: 0.0045 } },
  "before, A along 8 directions": { recall: BEFORE, slow: EVERYWHERE, directions: 8 },
  "one place a query": { recall: ONE_PLACE, slow: EVERYWHERE },
  "one place, room for four times the queries": { recall: { ...ONE_PLACE, bytes: 2 ** 20 }, slow: EVERYWHERE },
  "one place, null key 0.3": { recall: { ...ONE_PLACE, nullSimilarity: 0.3 }, slow: EVERYWHERE },
  "one place, sharpness 20": { recall: { ...ONE_PLACE, sharpness: 20 }, slow: EVERYWHERE },
  "one place, sharpness 20, no bias": { recall: { ...ONE_PLACE, sharpness: 20 }, slow: { ...EVERYWHERE, bias: false } },
  "one place, no slow weights, strength 0.35": { recall: { ...ONE_PLACE, strength: 0.35 }, slow: false },
  narrow: { recall: NARROW, slow: EVERYWHERE },
  "narrow, no slow weights": { recall: NARROW, slow: false },
  "narrow, gated": { recall: NARROW, slow: GATED },
  "narrow, gated, slow rate x 3": { recall: NARROW, slow: FASTER },
  "narrow, gated, rate x 3, strength 0.4": { recall: { ...NARROW, strength: 0.4 }, slow: FASTER },
  "default, null key 0.3": { recall: { nullSimilarity: 0.3 } },
  "default, sharpness 24, null key 0.3": { recall: { sharpness: 24, nullSimilarity: 0.3 } },
  "default, strength 0.45": { recall: { strength: 0.45 } },
  "default, slow rate 0.0075": { slow: { learningRate: 0.0075 } },
  "default, lambda 1000": { slow: { ewcLambda: 1000 } },
  "default, temperature 0.3": { temperature: 0.3 },
  "default, temperature learned": { learned: { temperature: 0.03 } },
  "default, sharpness learned": { learned: { sharpness: 0.03 } },
  "default, sharpness learned faster": { learned: { sharpness: 0.1 } },
  "default, both learned": { learned: { temperature: 0.03, sharpness: 0.03 } },
};

/** Likes two of the tuning groups, and has to be left alone on the others. */
function userOfTwoGroups({ corpus }, groups, seed) {
  const pairs = groups.flatMap((a, i) => groups.slice(i + 1).map((b) => [a, b]));
  const task = buildTask(corpus, { ...TASK, seed, topics: 2, groups: pairs[seed % pairs.length] });
  const ofTopic = (queries, topic) => queries.filter((query) => query.topic === topic);
  return {
    preferences: [...task.taste.keys()].map((topic) => ({
      learning: ofTopic(task.learning, topic),
      unseen: ofTopic(task.unseen, topic),
    })),
    unrelated: task.unrelated.slice(0, UNRELATED).map((keyword) => ({
      keyword,
      topic: 0,
      wanted: corpus.keywords[keyword].relevant,
    })),
  };
}

/** The loss of a click: cross-entropy over the cosines of what was shown. */
function lossOf({ corpus }, learner, { query, shown, chosen }) {
  const meant = learner.transform(query);
  const cosine = (row) => {
    const vector = corpus.documentVectors[row];
    return vector.reduce((sum, value, i) => sum + value * meant[i], 0) / (Math.hypot(...vector) * Math.hypot(...meant));
  };
  const scores = shown.map((row) => cosine(row) / learner.config.temperature);
  const highest = Math.max(...scores);
  const total = scores.reduce((sum, score) => sum + Math.exp(score - highest), 0);
  return Math.log(total) + highest - scores[shown.indexOf(chosen)];
}

/** One step down the loss for the logarithm of each temperature, by central differences; at most e^rate a click. */
function followTemperatures(setup, learner, click, learned) {
  const homes = { temperature: learner.config, sharpness: learner.config.recall };
  for (const [name, rate] of Object.entries(learned)) {
    const home = homes[name];
    const now = home[name];
    const [up, down] = [1.02, 1 / 1.02].map((factor) => {
      home[name] = now * factor;
      return lossOf(setup, learner, click);
    });
    const slope = (up - down) / (2 * Math.log(1.02));
    home[name] = now * Math.exp(-rate * Math.max(-1, Math.min(1, slope)));
  }
}

async function configOf(setup, { directions, ...config }) {
  if (directions === undefined) return config;
  const rows = await directionsFor(setup.corpus.documentVectors, directions, 1);
  return { ...config, slow: { ...config.slow, directions: rows, alpha: 2.2 * directions } };
}

/** All sessions of one user: what was gained, and the quality on unrelated keywords before and after. */
async function live(setup, { preferences, unrelated }, seed, { learned = {}, ...config }) {
  const learner = await Personalizer.create({ dimensions: setup.basis.dimensions, seed, ...config });
  const quality = () => mean(preferences.map(({ unseen }) => mrrOf(setup, learner, unseen)));
  const [before, elsewhere] = [quality(), mrrOf(setup, learner, unrelated)];
  for (const { learning } of preferences) {
    for (let search = 0; search < SESSIONS.searches; search++) {
      for (const query of learning) {
        const click = clickOf(setup.corpus, setup.index, learner, query);
        if (click === null) continue;
        followTemperatures(setup, learner, click, learned);
        learner.learn(click);
      }
    }
    learner.consolidate();
  }
  const outcome = { gain: quality() - before, unrelated: mrrOf(setup, learner, unrelated) / elsewhere - 1 };
  learner[Symbol.dispose]();
  return outcome;
}

const embedding = process.argv[2] === "minilm" ? "minilm" : "static";
const setup = await emojiSetup(embedding === "minilm" ? miniLmEmbedder(MINILM) : await staticEmbedder());
const file = new URL(`results-sessions-${embedding}.json`, import.meta.url);
const rows = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : [];
for (const [label, variant] of Object.entries(VARIANTS)) {
  if (rows.some((row) => row.label === label)) continue;
  const config = await configOf(setup, variant);
  const row = { label };
  for (const [kind, draw] of Object.entries(KINDS)) {
    const outcomes = [];
    for (const seed of SEEDS)
      outcomes.push(await live(setup, draw(setup, setup.groups.validation, seed), seed, config));
    row[kind] = {
      gain: Number(mean(outcomes.map(({ gain }) => gain)).toFixed(4)),
      unrelated: Number((100 * mean(outcomes.map(({ unrelated }) => unrelated))).toFixed(2)),
    };
  }
  rows.push(row);
  console.log(JSON.stringify(row));
  writeFileSync(file, `[\n${rows.map((each) => JSON.stringify(each)).join(",\n")}\n]\n`);
}
