/**
 * The merges of SentencePiece's BPE, first the one that is done first: each token from every pair of tokens that it can be made of, by its
 * score.
 *
 * Source: `SentencePieceExtractor.extract` in Hugging Face's transformers; `llm_tokenizer_spm` in llama.cpp, which merges by score.
 * @param isMerged whether a token is made by merging
 */
export function mergesOf(
  tokens: readonly string[],
  scores: readonly number[],
  isMerged: (id: number) => boolean,
): readonly (readonly [string, string])[] {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const merges: { readonly pair: readonly [string, string]; readonly score: number; readonly order: number }[] = [];
  for (const [id, token] of tokens.entries()) {
    if (!isMerged(id) || token.length < 2) continue;
    const found = splitsOf(token).flatMap(([left, right]) => {
      const [a, b] = [ids.get(left), ids.get(right)];
      return a === undefined || b === undefined ? [] : [{ pair: [left, right] as const, a, b }];
    });
    found.sort((x, y) => x.a - y.a || x.b - y.b);
    for (const { pair } of found) merges.push({ pair, score: scores[id]!, order: merges.length });
  }
  merges.sort((x, y) => y.score - x.score || x.order - y.order);
  return merges.map(({ pair }) => pair);
}

/** A token cut in two at each place between characters. */
function splitsOf(token: string): readonly (readonly [string, string])[] {
  const splits: (readonly [string, string])[] = [];
  for (let i = 1; i < token.length; i++) {
    const code = token.charCodeAt(i);
    if (code < 0xdc00 || code > 0xdfff) splits.push([token.slice(0, i), token.slice(i)]);
  }
  return splits;
}
