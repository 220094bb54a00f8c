import { tiesHead } from "../gguf/model-defaults.js";
import type { ConfigChange } from "./head.js";

type Config = Readonly<Record<string, unknown>>;

/** Whether the head of a model is its embedding, by its config.json; undefined where that does not tell. */
export function tiedHeadOf(config: Config | undefined): boolean | undefined {
  return config === undefined ? undefined : tiesHead(config);
}

/** A config.json with other values of fields, where it has them: of a model of several kinds of input, in its text part. */
export function changedConfig(config: Config, change: ConfigChange): Config {
  const text = config.text_config;
  if (typeof text !== "object" || text === null) return { ...config, ...change };
  const { tie_word_embeddings, ...ofText } = change;
  return {
    ...config,
    ...(tie_word_embeddings !== undefined && { tie_word_embeddings }),
    text_config: { ...text, ...ofText, ...("tie_word_embeddings" in text && change) },
  };
}

/** What has to be said of a configuration that has to change. @param isWritten whether it was written so */
export function configWarnings(change: ConfigChange, isWritten: boolean): readonly string[] {
  const warnings: string[] = [];
  const now = isWritten ? "config.json now says" : "the merged model's config.json has to say";
  if (change.tie_word_embeddings !== undefined) {
    warnings.push(
      `the head was tied to the embedding, of which the adapter changes one: it is a tensor of its own in the merged model, and ${now} "tie_word_embeddings": false`,
    );
  }
  if (change.vocab_size !== undefined) {
    warnings.push(`tokens were added to the vocabulary: ${now} "vocab_size": ${change.vocab_size}`);
  }
  return warnings;
}
