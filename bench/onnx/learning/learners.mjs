import { performance } from "node:perf_hooks";
import { adamw } from "../../../packages/microlora/dist/index.js";
import { infoNce } from "../../../packages/onnx/dist/node.js";
import { Evaluator, IDENTITY } from "../../emoji/dist/evaluate.js";
import { LEARNERS, TASK } from "../../emoji/dist/hyperparameters.js";
import { createLearner } from "../../emoji/dist/learners.js";
import { learnFrom } from "../../emoji/dist/user.js";

/** Modules of MiniLM that get adapters, and their rank. The first has as many parameters as slow weights of rank 8 have. */
export const PLACES = {
  "query and value, last 4 layers, rank 1": { targets: /layer\.[2345]\..*(query|value)/, rank: 1 },
  "every projection, rank 1": { targets: "all-linear", rank: 1 },
  "every projection, rank 2": { targets: "all-linear", rank: 2 },
};

/** A personalizer behind the model: names as in the first run's table, the rate of its slow weights times a factor. */
export async function personalizer({ corpus, index, evaluator }, task, seed, { name, factor }) {
  const learner = await createBehind(corpus, { name, factor }, seed);
  const clicks = learnFrom(corpus, index, learner, task.learning);
  const scores = scoresOf(evaluator, learner, task, clicks.length);
  learner[Symbol.dispose]();
  return scores;
}

function createBehind(corpus, { name, factor = 1 }, seed) {
  const { slow, ...settings } = LEARNERS[name];
  return createLearner(
    corpus,
    { ...settings, slow: slow && { ...slow, learningRate: slow.learningRate * factor } },
    { seed },
  );
}

/**
 * Adapters inside the model, one step of AdamW a click along the exact gradient of the same loss over what was shown; with
 * `behind`, a personalizer behind it, which learns from each click as it is embedded by then.
 */
export async function transformer(setup, task, seed, { place, learningRate, temperature, behind: more }) {
  const { corpus, index, models } = setup;
  const { model, feedsOf, embed } = models[place];
  const learning = { optimizer: adamw(), learningRate, ewcLambda: 0 };
  const adapter = await model.createAdapter({ rank: PLACES[place].rank, seed, learning });
  const behind = more && (await createBehind(corpus, more, seed));
  let clicks = 0;
  let milliseconds = 0;
  for (const { keyword, wanted } of task.learning) {
    const { text } = corpus.keywords[keyword];
    const [query] = await embed([text], adapter);
    const shown = (behind ?? index).search(query, ...(behind ? [index] : []), TASK.shown).map(({ id }) => Number(id));
    const chosen = shown.findIndex((row) => wanted.includes(row));
    if (chosen < 0) continue;
    const candidates = matrixOf(shown.map((row) => corpus.documentVectors[row]));
    const start = performance.now();
    await model.learn(
      { feeds: feedsOf([text]), loss: infoNce({ anchors: [0], candidates, chosen: [chosen], temperature }) },
      { adapter },
    );
    if (behind !== undefined) {
      const [learned] = await embed([text], adapter);
      behind.learn({ query: learned, chosen: shown[chosen], shown, index });
    }
    milliseconds += performance.now() - start;
    clicks++;
  }
  const scores = await adaptedScores(setup, models[place], adapter, task, { clicks, behind });
  adapter[Symbol.dispose]();
  behind?.[Symbol.dispose]();
  return { ...scores, msPerClick: milliseconds / clicks };
}

function matrixOf(rows) {
  const width = rows[0].length;
  const data = new Float32Array(rows.length * width);
  for (const [i, row] of rows.entries()) data.set(row, i * width);
  return { data, dims: [rows.length, width] };
}

/** Embeds the queries of the test anew; documents stay where they are. */
async function adaptedScores({ corpus }, { embed }, adapter, task, { clicks, behind = IDENTITY }) {
  const tested = [...task.unseen.map(({ keyword }) => keyword), ...task.unrelated];
  const vectors = await embed(
    tested.map((keyword) => corpus.keywords[keyword].text),
    adapter,
  );
  const keywordVectors = [...corpus.keywordVectors];
  for (const [i, keyword] of tested.entries()) keywordVectors[keyword] = vectors[i];
  return scoresOf(new Evaluator({ ...corpus, keywordVectors }), behind, task, clicks);
}

/** MRR on unseen queries in the user's sense, and on keywords that have nothing to do with it. */
export function scoresOf(evaluator, learner, task, clicks) {
  return {
    unseen: evaluator.onQueries(learner, task.unseen).mrr,
    unrelated: evaluator.onKeywords(learner, task.unrelated).mrr,
    clicks,
  };
}
