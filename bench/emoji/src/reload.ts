import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EmbeddingIndex, Personalizer } from "microlora";
import { loadPersonalizer, save } from "microlora/node";

export interface Reload {
  /** Size of the file. */
  readonly bytes: number;
  /** Queries asked of both. */
  readonly queries: number;
  /** Those answered with the same documents at the same scores, bit for bit. */
  readonly same: number;
}

/** Saves a personalizer, reads it back, and asks both the same. */
export async function reload(
  personalizer: Personalizer,
  index: EmbeddingIndex,
  queries: readonly Float32Array[],
  results = 10,
): Promise<Reload> {
  const folder = await mkdtemp(join(tmpdir(), "microlora-"));
  try {
    const path = join(folder, "user.mlora");
    await save(personalizer, path);
    using restored = await loadPersonalizer(path);
    const same = queries.filter((query) => {
      const expected = personalizer.search(query, index, results);
      const found = restored.search(query, index, results);
      return expected.every(({ id, score }, i) => found[i]?.id === id && found[i]?.score === score);
    });
    const { size } = await stat(path);
    return { bytes: size, queries: queries.length, same: same.length };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
