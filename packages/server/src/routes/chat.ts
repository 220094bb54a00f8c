import { Readable } from "node:stream";
import type { ChatUser } from "@microlora/chat";
import { type Static, Type as T } from "typebox";
import { ServiceError } from "../base/errors.js";
import type { App, Context, LanguageModel } from "../http/context.js";
import { userOf } from "../http/person.js";
import { toldOf } from "../http/render-error.js";
import { userOfModel } from "./embeddings.js";

const MessageSchema = T.Object({
  role: T.Union([T.Literal("system"), T.Literal("developer"), T.Literal("user"), T.Literal("assistant")]),
  content: T.Union([
    T.String({ maxLength: 100_000 }),
    T.Array(T.Object({ type: T.Literal("text"), text: T.String({ maxLength: 100_000 }) }), {
      minItems: 1,
      maxItems: 100,
    }),
  ]),
});

/** `CreateChatCompletionRequest` of OpenAI's openapi.yaml, as far as the model can do it; settings that it cannot are refused by name. */
const Body = T.Object(
  {
    model: T.String({ minLength: 1, maxLength: 600 }),
    messages: T.Array(MessageSchema, { minItems: 1, maxItems: 1000 }),
    stream: T.Optional(T.Boolean()),
    stream_options: T.Optional(T.Object({ include_usage: T.Optional(T.Boolean()) })),
    max_tokens: T.Optional(T.Integer({ minimum: 1, maximum: 4096 })),
    max_completion_tokens: T.Optional(T.Integer({ minimum: 1, maximum: 4096 })),
    temperature: T.Optional(T.Number({ minimum: 0, maximum: 2 })),
    top_p: T.Optional(T.Number({ exclusiveMinimum: 0, maximum: 1 })),
    seed: T.Optional(T.Integer()),
    stop: T.Optional(T.Union([T.String({ minLength: 1 }), T.Array(T.String({ minLength: 1 }), { maxItems: 4 })])),
    n: T.Optional(T.Literal(1)),
    user: T.Optional(T.String({ maxLength: 256 })),
    safety_identifier: T.Optional(T.String({ maxLength: 256 })),
  },
  { additionalProperties: false },
);
type ChatBody = Static<typeof Body>;

/**
 * OpenAI's chat completions; answers of several requests are generated together. A user may be named, as anywhere; the answers do not depend
 * on it, since the service keeps no facts for the language model.
 */
export function addChat(app: App, context: Context): void {
  app.post(
    "/v1/chat/completions",
    { config: { family: "openai", scope: "read" }, schema: { body: Body, tags: ["openai"] } },
    async (request, reply) => {
      const { language } = context;
      if (language === null) {
        const remedy = "Start it with --model";
        throw new ServiceError("no-language-model", "model", "the service has no language model", remedy);
      }
      const { body } = request;
      userOf(request, userOfModel(body.model, language.name), body.user || undefined);
      const person = await language.chat.user(request.id);
      reply.raw.once("close", () => language.chat.leave(request.id));
      const abort = new AbortController();
      reply.raw.once("close", () => abort.abort());
      const ending: Ending = { why: "stop" };
      const pieces = say(person, body, abort.signal, ending);
      const head = { id: `chatcmpl-${request.id}`, created: Math.floor(context.now() / 1000), model: body.model };
      if (body.stream === true) {
        const first = await pieces.next();
        const stream = Readable.from(events(first, pieces, { head, body, language, ending }));
        return reply.type("text/event-stream; charset=utf-8").header("cache-control", "no-cache").send(stream);
      }
      let text = "";
      for await (const piece of pieces) text += piece;
      return {
        ...head,
        object: "chat.completion",
        choices: [
          {
            index: 0,
            message: { role: "assistant", content: text, refusal: null },
            logprobs: null,
            finish_reason: ending.why,
          },
        ],
        usage: usageOf(language, body, text),
      };
    },
  );
}

/** Why an answer ended, once it has. */
interface Ending {
  why: "stop" | "length";
}

/** The messages of a request as the model's template knows them. */
function messagesOf({ messages }: ChatBody) {
  return messages.map(({ role, content }) => ({
    role: role === "developer" ? "system" : role,
    content: typeof content === "string" ? content : content.map(({ text }) => text).join(""),
  }));
}

function say(
  person: ChatUser,
  body: ChatBody,
  signal: AbortSignal,
  ending: Ending,
): AsyncGenerator<string, string, void> {
  const messages = messagesOf(body);
  const last = messages.pop()!;
  if (last.role !== "user") {
    throw new ServiceError(
      "invalid-body",
      "messages",
      "do not end with the user",
      "Let the last message be the user's",
    );
  }
  const system = messages.filter(({ role }) => role === "system").map(({ content }) => content);
  const { max_completion_tokens, max_tokens, temperature, top_p, seed, stop } = body;
  const maxTokens = max_completion_tokens ?? max_tokens;
  return person.say(last.content, {
    history: messages.filter(({ role }) => role !== "system"),
    signal,
    onEnd: (why) => {
      ending.why = why;
    },
    ...(system.length > 0 && { system: system.join("\n\n") }),
    ...(maxTokens !== undefined && { maxTokens }),
    ...(temperature !== undefined && { temperature }),
    ...(top_p !== undefined && { topP: top_p }),
    ...(seed !== undefined && { seed }),
    ...(stop !== undefined && { stop: typeof stop === "string" ? [stop] : stop }),
  });
}

/** An answer on its way, and what it answers. */
interface Answer {
  readonly head: object;
  readonly body: ChatBody;
  readonly language: LanguageModel;
  readonly ending: Ending;
}

/** Server-sent events, as OpenAI's clients read them. An error after the first one is an event too. */
async function* events(
  first: IteratorResult<string, string>,
  pieces: AsyncGenerator<string, string, void>,
  { head, body, language, ending }: Answer,
): AsyncGenerator<string> {
  const chunk = (delta: object, finish_reason: string | null = null) =>
    event({ ...head, object: "chat.completion.chunk", choices: [{ index: 0, delta, logprobs: null, finish_reason }] });
  let text = "";
  try {
    yield chunk({ role: "assistant", content: "" });
    for (let next = first; !next.done; next = await pieces.next()) {
      text += next.value;
      yield chunk({ content: next.value });
    }
    yield chunk({}, ending.why);
    if (body.stream_options?.include_usage === true) {
      yield event({ ...head, object: "chat.completion.chunk", choices: [], usage: usageOf(language, body, text) });
    }
    yield "data: [DONE]\n\n";
  } catch (error) {
    const { message, code } = toldOf(error);
    yield event({ error: { message, type: "server_error", param: null, code } });
  }
}

const event = (value: object) => `data: ${JSON.stringify(value)}\n\n`;

function usageOf({ chat: { tokenizer } }: LanguageModel, body: ChatBody, text: string) {
  const prompt = tokenizer.encode(tokenizer.render(messagesOf(body))).length;
  const completion = tokenizer.encodeText(text).length;
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}
