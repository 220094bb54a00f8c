export { ChatError, type ChatErrorCode } from "./base/errors.js";
export { Chat, type ChatOptions, type UserOptions } from "./chat.js";
export type { AnswerOptions } from "./generate/answer.js";
export type { SamplingOptions } from "./generate/sampling.js";
export type { LearnReport, SleepOptions } from "./learn/study.js";
export type { Fact } from "./memory/fact-memory.js";
export { openChat } from "./open.js";
export {
  ChatTokenizer,
  type Message,
  type TokenizerConfig,
  type TokenizerFiles,
} from "./tokenizer/chat-tokenizer.js";
export { type TokenizerJson, tokenizerJsonOf } from "./tokenizer/tokenizer-json.js";
export { ChatUser, type ForgetRequest, type SayOptions, type Store, type Taught } from "./user.js";
