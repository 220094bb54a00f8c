import type { TextEmbedder } from "@microlora/embed";
import { loadEmbedder } from "@microlora/embed";
import type { LoraModel, OpenOptions } from "@microlora/onnx";
import { ChatError } from "./base/errors.js";
import { Engine } from "./generate/engine.js";
import { Queue } from "./generate/queue.js";
import { Study } from "./learn/study.js";
import { Recall, STATE_LAYER } from "./recall.js";
import type { ChatTokenizer, TokenizerFiles } from "./tokenizer/chat-tokenizer.js";
import { ChatUser, type Store } from "./user.js";

/** Options of `openChat`. */
export interface ChatOptions extends Omit<OpenOptions, "targets" | "hiddenStates"> {
  /** Modules that users' adapters may have; `["q_proj", "v_proj"]` by default. */
  readonly targets?: OpenOptions["targets"];
  /** Where the model's file has none, or another is wanted. */
  readonly tokenizer?: TokenizerFiles;
  /** What compares questions; `@microlora/embed` by default. */
  readonly embedder?: TextEmbedder;
  /** Tokens of a conversation and its answer at most; by default the file's own number, without a limit where it has none. */
  readonly context?: number;
  /** Answers that are generated together at most; 16 by default. */
  readonly batch?: number;
}

/** Options of a user. */
export interface UserOptions {
  /** Where what the user tells is kept; in memory only by default. */
  readonly store?: Store;
}

/** A model that many users talk to. `openChat` makes it; `close` frees it. */
export class Chat implements AsyncDisposable {
  /** The model that answers. */
  readonly model: LoraModel;
  /** The model's tokenizer. */
  readonly tokenizer: ChatTokenizer;
  readonly #shared: { readonly recall: Recall; readonly queue: Queue; readonly study: Study };
  readonly #users = new Map<string, Promise<ChatUser>>();

  private constructor(model: LoraModel, recall: Recall, queue: Queue) {
    this.model = model;
    this.tokenizer = recall.tokenizer;
    this.#shared = { recall, queue, study: new Study(recall, queue) };
  }

  /** @internal @param open opens the model with these options @param context that the file says */
  static async open(
    options: ChatOptions,
    tokenizer: ChatTokenizer,
    open: (options: OpenOptions) => Promise<LoraModel>,
    context = Number.POSITIVE_INFINITY,
  ): Promise<Chat> {
    const { tokenizer: _, context: __, embedder, batch = 16, targets = ["q_proj", "v_proj"], ...rest } = options;
    if (!Number.isInteger(batch) || batch < 1) {
      throw new ChatError("invalid-option", "batch", `is ${batch}`, "Pass a count of answers");
    }
    if (!tokenizer.hasTemplate) {
      const remedy = "Use a model that was tuned for conversations, or pass a tokenizer with a chat_template";
      throw new ChatError("no-chat-template", "tokenizer", "the model was not made for conversations", remedy);
    }
    const model = await open({ ...rest, targets, hiddenStates: [STATE_LAYER] });
    const engine = new Engine(model, [STATE_LAYER], options.context ?? context);
    return new Chat(model, new Recall(engine, tokenizer, embedder ?? (await loadEmbedder())), new Queue(engine, batch));
  }

  /** Opens a user, with the facts and the adapter of the store. The same id gives the same object until `leave`. @throws ChatError `invalid-option`, `corrupt-state`, `wrong-model` */
  user(id: string, { store }: UserOptions = {}): Promise<ChatUser> {
    if (typeof id !== "string" || id === "") {
      return Promise.reject(new ChatError("invalid-option", "id", "is not a name", "Pass a text such as a user's id"));
    }
    const known = this.#users.get(id);
    if (known !== undefined) return known;
    const user = ChatUser.open(id, this.#shared, store);
    this.#users.set(id, user);
    user.catch(() => this.#users.delete(id));
    return user;
  }

  /** Releases a user from memory; facts and adapter stay in their store. */
  leave(id: string): void {
    this.#users.delete(id);
  }

  /** Frees the model, once the calls under way are done. */
  async close(): Promise<void> {
    await this.model[Symbol.asyncDispose]();
  }

  /** As `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
