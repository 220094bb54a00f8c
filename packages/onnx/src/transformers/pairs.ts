import { OnnxError } from "../base/errors.js";
import { type HostTensor, ints, numbersOf } from "../base/host-tensor.js";
import type { Feeds } from "../run/feeds.js";
import type { OrtSession, OrtTensor } from "../run/ort.js";

/** An encoder-decoder of transformers.js: its encoder's session is called `model`. */
export interface EncoderDecoder {
  readonly sessions: Readonly<Record<string, unknown>>;
  readonly config?: { readonly decoder_start_token_id?: number | null };
  readonly generation_config?: { readonly decoder_start_token_id?: number | null } | null;
}

/** Texts as feeds of a decoder, and as labels: -100 where a text is padded. */
export interface Pairs {
  /** Inputs of the decoder. */
  readonly feeds: Feeds;
  /** Where they are predicted: `tokenNll({ labels, shifted: true })`. */
  readonly labels: HostTensor;
}

/** Runs the encoder on tokenized texts: its states, and the mask under the name that decoders have for it. */
export async function encoderFeeds({ sessions }: EncoderDecoder, encoded: Feeds): Promise<Feeds> {
  const encoder = sessions.model as OrtSession;
  const taken = encoder.inputNames.flatMap((name) => (encoded[name] ? [[name, inner(encoded[name])] as const] : []));
  const states = await encoder.run(Object.fromEntries(taken));
  return {
    encoder_hidden_states: states.last_hidden_state ?? Object.values(states)[0]!,
    ...(encoded.attention_mask && { encoder_attention_mask: encoded.attention_mask }),
  };
}

/** onnxruntime's own tensor in one of transformers.js. */
function inner(tensor: HostTensor): OrtTensor {
  return (tensor as { readonly ort_tensor?: OrtTensor }).ort_tensor ?? tensor;
}

/**
 * Tokens to be said, moved behind the one that a decoder starts with, and the labels of what it then is to say. Where the tokenizer puts
 * that token in front by itself (Whisper's), it is there once.
 */
export function targetFeeds(model: EncoderDecoder, encoded: Feeds): Pairs {
  const start = model.config?.decoder_start_token_id ?? model.generation_config?.decoder_start_token_id;
  if (typeof start !== "number") {
    const remedy = "Put it into config.json, or make feeds and labels yourself";
    throw new OnnxError("unknown-value", "decoder_start_token_id", "the model's configuration has none", remedy);
  }
  const { values, dims } = numbersOf(encoded.input_ids!, "input_ids");
  const mask = encoded.attention_mask && numbersOf(encoded.attention_mask, "attention_mask").values;
  const [rows = 0, length = 0] = dims;
  const isStarted = Array.from({ length: rows }, (_, row) => values[row * length] === start).every(Boolean);
  const kept = values.flatMap((id, i) => (isStarted && i % length === 0 ? [] : [mask?.[i] === 0 ? -100 : id]));
  const width = isStarted ? length - 1 : length;
  const moved = kept.map((_, i) => (i % width === 0 ? start : Math.max(0, kept[i - 1]!)));
  return { feeds: { input_ids: ints(moved, [rows, width]) }, labels: ints(kept, [rows, width]) };
}
