// What one user's facts come to, in a chat that was told them in some way.
import { ADVICE, fileFacts, UNRELATED, userFacts } from "./facts.mjs";

const same = (a, b) => a.trim().toLowerCase() === b.trim().toLowerCase();
const contains = (answer, value) => answer.toLowerCase().includes(value.toLowerCase());
const perToken = (scores) => scores.reduce((sum, value) => sum + value, 0) / scores.length;
const average = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Some at a time, since each is a row of the batch while it is generated. */
async function each(list, work, at = 8) {
  const results = [];
  for (let i = 0; i < list.length; i += at) results.push(...(await Promise.all(list.slice(i, i + at).map(work))));
  return results;
}

/** Asks every unseen wording, or every `every`-th, and scores the answers. */
async function asked(user, facts, { every = 1, options = () => ({}), generate = true, wordings = [1, 2] } = {}) {
  const questions = facts
    .flatMap((fact, i) => wordings.map((wording) => ({ fact, text: fact.q[wording], i })))
    .filter((_, i) => i % every === 0);
  return each(questions, async ({ fact, text }) => {
    const answer = generate ? await user.answer(text, { maxTokens: 24, ...(await options(text)) }) : undefined;
    const twin = answer && facts.find((other) => other !== fact && same(other.a, answer));
    return { fact, text, answer, isRight: answer !== undefined && same(answer, fact.a), isTwin: twin !== undefined };
  });
}

async function scored(user, facts, told = true) {
  const rows = await each(facts, async (fact) => ({
    value: perToken(await user.score(fact.q[1], fact.a, { told })),
    another: perToken(await user.score(fact.q[1], fact.another, { told })),
  }));
  return { value: average(rows.map(({ value }) => value)), another: average(rows.map(({ another }) => another)) };
}

/** @returns one row of each table for a user */
export async function measureUser(chat, set, seed, count, { isQuick, file }) {
  const facts = file ? fileFacts(file, seed, count) : userFacts(set, seed, count);
  const result = { set, seed, count: facts.length };
  const bare = await chat.user(`bare ${set} ${seed}`);
  const user = await chat.user(`${set} ${seed}`);
  const unrelated = (file?.unrelated ?? [...UNRELATED, ...ADVICE]).filter((_, i) => !isQuick || i % 3 === 0);

  result.nothing = await scored(bare, facts.slice(0, 8), false);
  const own = await each(unrelated, async ([text, answer]) => ({
    answer: await bare.answer(text, { maxTokens: 24 }),
    score: perToken(await bare.score(text, answer)),
  }));

  const start = performance.now();
  for (const { q, a } of facts) await user.teach(q[0], a);
  result.teachMs = (performance.now() - start) / facts.length;
  const reading = performance.now();
  for (const { q, a } of facts) await bare.score(q[0], a);
  result.teachRatio = result.teachMs / ((performance.now() - reading) / facts.length);
  result.bytes = user.toBytes().length / facts.length;
  const answers = await asked(user, facts);
  result.right = average(answers.map(({ isRight }) => Number(isRight)));
  result.value = average(answers.map(({ answer, fact }) => Number(contains(answer, fact.value))));
  result.twins = average(answers.map(({ isTwin }) => Number(isTwin)));
  result.wrong = answers
    .filter(({ isRight }) => !isRight)
    .map(({ text, answer, fact }) => ({ text, answer, right: fact.a }));
  result.told = await scored(user, facts);
  const now = await each(unrelated, async ([text, answer]) => ({
    answer: await user.answer(text, { maxTokens: 24 }),
    score: perToken(await user.score(text, answer)),
  }));
  result.unrelatedChange = average(now.map(({ score }, i) => score - own[i].score));
  result.unrelatedAnswers = average(now.map(({ answer }, i) => Number(answer !== own[i].answer)));

  // Told anew: every fourth fact has another value from now on.
  const anew = facts.filter((_, i) => i % 4 === 0).map((fact) => ({ ...fact, a: fact.another, another: fact.a }));
  for (const { q, a } of anew) await user.teach(q[0], a);
  const changed = await asked(user, anew, { wordings: [1] });
  result.anew = average(changed.map(({ isRight }) => Number(isRight)));
  result.old = average(changed.map(({ answer, fact }) => Number(same(answer, fact.another))));

  // Forgotten: the same facts.
  const kept = user.facts.filter(({ answer }) => anew.some(({ a }) => a === answer));
  for (const { id } of kept) await user.forget({ id });
  const after = await scored(user, anew);
  const before = await scored(bare, anew, false);
  result.forgotten = after.value - before.value;
  const bytes = Buffer.from(user.toBytes()).toString("latin1");
  result.left = anew.filter(({ a, q }) => bytes.includes(a) || bytes.includes(q[0])).length;

  // Told as statements, asked in questions.
  const teller = await chat.user(`teller ${set} ${seed}`);
  for (const { s } of facts) await teller.tell(s[0]);
  const stated = await asked(teller, facts, { wordings: [0, 1], every: isQuick ? 2 : 1 });
  result.statements = average(
    stated.map(({ isRight, answer, fact }) => Number(isRight || contains(answer, fact.value))),
  );

  if (!isQuick) Object.assign(result, await baselines(bare, facts));
  for (const each of [user, bare, teller]) chat.leave(each.id);
  return result;
}

/** What a user would do instead: all facts in the prompt, or those that an embedder finds. */
async function baselines(bare, facts) {
  const { loadEmbedder } = await import("@microlora/embed");
  const embedder = await loadEmbedder();
  const lines = facts.map(({ s }) => s[0]);
  const vectors = lines.map((line) => embedder.embed(line));
  const nearest = (text, count) => {
    const query = embedder.embed(text);
    const score = (i) => vectors[i].reduce((sum, value, at) => sum + value * query[at], 0);
    return lines
      .map((_, i) => i)
      .sort((a, b) => score(b) - score(a))
      .slice(0, count)
      .map((i) => lines[i]);
  };
  const system = (chosen) => ({ system: `You are a helpful assistant. The user told you: ${chosen.join(" ")}` });
  const share = (answers) => average(answers.map(({ answer, fact }) => Number(contains(answer, fact.value))));
  const all = await asked(bare, facts, { every: 6, options: () => system(lines) });
  const some = await asked(bare, facts, { every: 3, options: (text) => system(nearest(text, 3)) });
  return { inPrompt: share(all), retrieved: share(some) };
}
