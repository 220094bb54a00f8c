import { loadEmbedder } from "@microlora/embed";
import { expect, test } from "vitest";
import { embedCorpus, loadCorpus } from "./corpus.js";
import { Experiment } from "./experiment.js";
import { TUNING_GROUPS } from "./hyperparameters.js";
import { watchedSentences } from "./tables.js";

test("the detector finds new preferences soon after they began, and the guard limits what bad clicks do", async () => {
  const corpus = embedCorpus(loadCorpus(), await loadEmbedder());
  const experiment = await Experiment.create(corpus, { among: TUNING_GROUPS });
  const watched = await experiment.watched(experiment.task(1), 1);
  const { guarded, unguarded } = watched;
  expect(guarded.changes).toHaveLength(3);
  expect(guarded.detected.length).toBeGreaterThan(0);
  for (const click of guarded.detected) {
    const began = guarded.changes.findLast((change) => change < click);
    expect(began).toBeDefined();
    expect(click - began!).toBeLessThan(30);
  }
  expect(guarded.takenBack).toBeGreaterThan(0);
  expect(unguarded.takenBack).toBe(0);
  expect(guarded.learned - guarded.afterBad).toBeLessThan(unguarded.learned - unguarded.afterBad);
  expect(watchedSentences(watched)).toHaveLength(2);
}, 120_000);
