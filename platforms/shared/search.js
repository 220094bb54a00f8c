// What every row does: a search that learns from a click, as a user of the packages would write it.

/** Runs it, and tells what happened as plain data. */
export async function searchThatLearns({ loadEmbedder, EmbeddingIndex, Personalizer }, options = {}) {
  let loaded;
  const embedder = await loadEmbedder({ ...options, onProgress: (progress) => (loaded = progress) });
  const documents = [
    "orange juice",
    "orange tree",
    "orange the colour",
    "an orange phone case",
    "apple pie",
    "steam train",
  ];
  const index = await EmbeddingIndex.create(documents.map((text) => [text, embedder.embed(text)]));
  const user = await Personalizer.create({ dimensions: embedder.dimensions });
  const chosen = "an orange phone case";
  const query = embedder.embed("orange");
  const rank = () => user.search(query, index, documents.length).findIndex(({ id }) => id === chosen) + 1;
  const before = rank();
  for (let click = 0; click < 3; click++) user.learn({ query, chosen, shown: documents.slice(0, 4), index });
  const outcome = {
    before,
    after: rank(),
    dimensions: embedder.dimensions,
    fingerprint: embedder.fingerprint,
    isLoaded: loaded !== undefined && loaded.loaded === loaded.total,
  };
  const bytes = user.toBytes();
  const again = await Personalizer.fromBytes(bytes);
  outcome.isSame = again.search(query, index, 1)[0].id === user.search(query, index, 1)[0].id;
  outcome.kernels = /"kernels":"(\w+)"/.exec(new TextDecoder().decode(bytes))?.[1] ?? "not told";
  return outcome;
}

/** Runs something, and tells an error as plain data too. */
export async function outcomeOf(run) {
  try {
    return await run();
  } catch (error) {
    return { error: { name: error?.name, code: error?.code, message: String(error?.message ?? error) } };
  }
}
