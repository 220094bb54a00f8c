import { Template } from "@huggingface/jinja";
import { Tokenizer } from "@huggingface/tokenizers";
import type { GgufMetadata } from "@microlora/onnx";
import { ChatError } from "../base/errors.js";
import { type TokenizerJson, tokenizerJsonOf } from "./tokenizer-json.js";

/** One turn of a conversation. */
export interface Message {
  /** Who says it. */
  readonly role: "system" | "user" | "assistant" | (string & {});
  /** The text of the message. */
  readonly content: string;
}

/** The files of a tokenizer, parsed: tokenizer.json, tokenizer_config.json and, where there is one, generation_config.json. */
export interface TokenizerFiles {
  /** tokenizer.json. */
  readonly json: TokenizerJson;
  /** tokenizer_config.json. */
  readonly config: TokenizerConfig;
  /** generation_config.json, which may name further tokens that end an answer. */
  readonly generation?: { readonly eos_token_id?: number | readonly number[] };
}

/** The parts of tokenizer_config.json that are used here. */
export interface TokenizerConfig {
  /** Jinja template of a conversation, or several by name. */
  readonly chat_template?: string | readonly { readonly name: string; readonly template: string }[] | null;
  /** The token that begins a text. */
  readonly bos_token?: Named | null;
  /** The token that ends a text. */
  readonly eos_token?: Named | null;
  /** The token of what the vocabulary does not have. */
  readonly unk_token?: Named | null;
  /** The token that fills rows up. */
  readonly pad_token?: Named | null;
  /** Any other field of the file. */
  readonly [option: string]: unknown;
}

type Named = string | { readonly content: string };

/** Names of tokens that end a turn in some family of models, which files often forget; `llama_vocab` in llama.cpp treats them so. */
const TURN_ENDS = ["<|im_end|>", "<|eot_id|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>"];

/** Text to tokens and back, and conversations to text. */
export class ChatTokenizer {
  /** Tokens after which an answer is over. */
  readonly ends: ReadonlySet<number>;
  readonly #tokenizer: Tokenizer;
  readonly #template: Template | undefined;
  readonly #names: Readonly<Record<string, string>>;
  /** Finds special tokens; undefined if there are none. */
  readonly #specials: RegExp | undefined;

  /** @throws ChatError `unsupported-tokenizer` */
  constructor({ json, config, generation = {} }: TokenizerFiles) {
    this.#tokenizer = build(json, config);
    const template = templateOf(config.chat_template);
    this.#template = template === undefined ? undefined : parse(template);
    this.#names = namesOf(config);
    this.#specials = specialsOf(json);
    const own = [generation.eos_token_id ?? []].flat();
    const named = [this.#names.eos_token, ...TURN_ENDS].map((name) => this.#idOf(name));
    this.ends = new Set([...own, ...named].filter((id) => id !== undefined));
  }

  /** The tokenizer of a GGUF file. @throws ChatError `unsupported-tokenizer` */
  static fromGguf(metadata: GgufMetadata): ChatTokenizer {
    const tokens = metadata.texts("tokenizer.ggml.tokens") ?? [];
    const named = (kind: string) => {
      const id = metadata.number(`tokenizer.ggml.${kind}_token_id`);
      return id === undefined ? null : (tokens[id] ?? null);
    };
    const config: TokenizerConfig = {
      chat_template: metadata.text("tokenizer.chat_template") ?? null,
      bos_token: named("bos"),
      eos_token: named("eos"),
      unk_token: named("unknown"),
      pad_token: named("padding"),
      clean_up_tokenization_spaces: false,
    };
    const turnEnd = metadata.number("tokenizer.ggml.eot_token_id");
    const generation = turnEnd === undefined ? {} : { eos_token_id: turnEnd };
    return new ChatTokenizer({ json: tokenizerJsonOf(metadata), config, generation });
  }

  /** Whether conversations can be written. */
  get hasTemplate(): boolean {
    return this.#template !== undefined;
  }

  /** Tokens of what {@link render} wrote, special ones in it included, and none around it. */
  encode(prompt: string): readonly number[] {
    return prompt === "" ? [] : this.#tokenizer.encode(prompt, { add_special_tokens: false }).ids;
  }

  /** Tokens of a text that somebody wrote, none of them special. */
  encodeText(text: string): readonly number[] {
    return this.encode(this.#asText(text));
  }

  /** A text in which special tokens are broken by a space, so that nobody ends a turn, or begins another one, by typing its token. */
  #asText(text: string): string {
    const specials = this.#specials;
    if (specials === undefined) return text;
    let broken = text;
    // What is broken may stand beside what completes another one, so until nothing changes.
    for (let before = ""; before !== broken; ) {
      before = broken;
      broken = broken.replaceAll(specials, ([first, ...rest]) => `${first} ${rest.join("")}`);
    }
    return broken;
  }

  /** The text of tokens, without special ones. */
  decode(tokens: readonly number[]): string {
    return tokens.length === 0 ? "" : this.#tokenizer.decode([...tokens], { skip_special_tokens: true });
  }

  /** The token of a name; undefined if there is none. */
  #idOf(name: string | undefined): number | undefined {
    return name === undefined ? undefined : this.#tokenizer.token_to_id(name);
  }

  /**
   * A conversation as the model was trained to see it, up to where the answer begins. Special tokens that somebody typed are broken by a space.
   * @throws ChatError `no-chat-template` if the model has none, or if it refuses the conversation
   */
  render(messages: readonly Message[]): string {
    if (this.#template === undefined) {
      throw new ChatError(
        "no-chat-template",
        "tokenizer",
        "the model was not made for conversations",
        "Pass a chat_template, or a model with one",
      );
    }
    try {
      const plain = messages.map(({ role, content }) => ({ role: this.#asText(role), content: this.#asText(content) }));
      return this.#template.render({ messages: plain, add_generation_prompt: true, ...this.#names });
    } catch (cause) {
      const problem = `the model's template refuses it: ${cause instanceof Error ? cause.message : cause}`;
      throw new ChatError("no-chat-template", "messages", problem, "Change the order of roles", { cause });
    }
  }
}

/** Tokens of a tokenizer.json that no text may give; a single character is nobody's secret. */
function specialsOf({ added_tokens: added }: TokenizerJson): RegExp | undefined {
  const tokens = (Array.isArray(added) ? added : []) as readonly {
    readonly content?: unknown;
    readonly special?: unknown;
  }[];
  const names = tokens.filter(({ special }) => special === true).map(({ content }) => String(content));
  const long = names.filter((name) => name.length > 1).sort((a, b) => b.length - a.length);
  if (long.length === 0) return undefined;
  return new RegExp(long.map((name) => name.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("|"), "g");
}

function build(json: TokenizerJson, config: TokenizerConfig): Tokenizer {
  try {
    return new Tokenizer(json, config);
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw new ChatError("unsupported-tokenizer", "tokenizer.json", problem, "Use a model with a common tokenizer", {
      cause,
    });
  }
}

function parse(template: string): Template {
  try {
    return new Template(template);
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw new ChatError("unsupported-tokenizer", "chat_template", problem, "Pass another chat_template", { cause });
  }
}

function templateOf(given: TokenizerConfig["chat_template"]): string | undefined {
  if (typeof given === "string") return given;
  return given?.find(({ name }) => name === "default")?.template;
}

function namesOf(config: TokenizerConfig): Readonly<Record<string, string>> {
  const names: Record<string, string> = {};
  for (const kind of ["bos_token", "eos_token", "unk_token", "pad_token"] as const) {
    const named = config[kind];
    if (named) names[kind] = typeof named === "string" ? named : named.content;
  }
  return names;
}

/** @throws ChatError `invalid-option` */
export function checkMessages(messages: readonly Message[]): void {
  const isMessage = (message: Message) => typeof message?.role === "string" && typeof message.content === "string";
  if (Array.isArray(messages) && messages.every(isMessage)) return;
  throw new ChatError("invalid-option", "history", "is not a list of messages", "Pass [{ role, content }, …]");
}
