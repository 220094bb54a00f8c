import { existsSync } from "node:fs";
import { createInterface } from "node:readline/promises";
import { parseArgs } from "node:util";
import { type Chat, type ChatUser, folderStore, openChat } from "@microlora/chat/node";
import { ofFile, Refusal } from "../refusal.js";
import { type Terminal, visible } from "../terminal.js";
import { parsed, UsageError } from "../usage-error.js";
import { loadOnnxruntime } from "./onnxruntime.js";

const MODEL = "models/SmolLM2-135M-Instruct.Q4_1.gguf";

export const CHAT_USAGE = `Usage: microlora chat [MODEL] [--user NAME] [--store FOLDER]

Talk to a language model that remembers what you tell it, at once. MODEL is a GGUF file, or a folder with an ONNX file and
its tokenizer; by default ${MODEL}, which
"bash bench/remember/fetch-model.sh" brings (98 MB).

What is my dog called?                 asks
/teach What is my dog called? = Your dog is called Biscuit.
/tell My sister lives in Bergen.       tells something plainly
/no It is Rex.                         corrects the last answer
/forget dog                            forgets all that mentions it
/facts                                 lists what was told
/quit                                  ends

--user NAME      who you are (default "me"); each user has facts of their own
--store FOLDER   where they are kept (default ".microlora"); a restart goes on where you were`;

/** A line of the user's, by its first word. */
type Action = (session: Session, rest: string) => Promise<void>;

interface Session {
  readonly user: ChatUser;
  readonly terminal: Terminal;
  last: string;
}

const ACTIONS: Readonly<Record<string, Action>> = {
  "/teach": teach,
  "/tell": tell,
  "/no": correct,
  "/forget": forget,
  "/facts": list,
};

/** A conversation in the terminal. */
export async function chat(args: readonly string[], terminal: Terminal): Promise<void> {
  const options = {
    help: { type: "boolean", short: "h", default: false },
    user: { type: "string", default: "me" },
    store: { type: "string", default: ".microlora" },
  } as const;
  const { values, positionals } = parsed(() => parseArgs({ args: [...args], options, allowPositionals: true }));
  if (values.help) {
    terminal.print(CHAT_USAGE);
    return;
  }
  if (positionals.length > 1) throw new UsageError(CHAT_USAGE);
  const path = positionals[0] ?? MODEL;
  await using opened = await open(path, terminal);
  const user = await ofFile(values.store, () => opened.user(values.user, { store: folderStore(values.store) }));
  terminal.print(`${CHAT_USAGE.split("\n").slice(6, 13).join("\n")}\n`);
  await converse({ user, terminal, last: "" });
}

async function open(path: string, terminal: Terminal): Promise<Chat> {
  if (!existsSync(path)) {
    throw new Refusal(`${path}: there is no such file. Run "bash bench/remember/fetch-model.sh" first`, "unreadable");
  }
  const ort = await loadOnnxruntime();
  terminal.status(`Opening ${path} …`);
  const opened = await ofFile(path, () => openChat(path, { ort, sessionOptions: { logSeverityLevel: 3 } }));
  terminal.status("");
  return opened;
}

async function converse(session: Session): Promise<void> {
  const { terminal } = session;
  const lines = createInterface({
    input: process.stdin,
    output: process.stdout,
    terminal: process.stdin.isTTY === true,
  });
  lines.setPrompt(terminal.style("cyan", "> "));
  lines.prompt();
  for await (const line of lines) {
    const text = line.trim();
    if (text === "/quit") break;
    if (text !== "") await answer(session, text);
    lines.prompt();
  }
  lines.close();
  const count = session.user.facts.length;
  terminal.print(`\n${count} ${count === 1 ? "fact" : "facts"} remembered. Bye.`);
}

async function answer(session: Session, text: string): Promise<void> {
  const { user, terminal } = session;
  const [name = ""] = text.split(/\s/, 1);
  const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
  if (action !== undefined) {
    await action(session, text.slice(name.length).trim());
    return;
  }
  if (text.startsWith("/")) {
    terminal.print(`There is no ${visible(name)}; there are ${Object.keys(ACTIONS).join(", ")}, /quit.`);
    return;
  }
  session.last = "";
  for await (const piece of user.say(text)) {
    process.stdout.write(piece.split("\n").map(visible).join("\n"));
    session.last += piece;
  }
  terminal.print("\n");
}

async function teach({ user, terminal }: Session, rest: string): Promise<void> {
  const [question = "", told = ""] = rest.split(/\s*=\s*/, 2);
  if (question === "" || told === "") {
    terminal.print("Write: /teach QUESTION = ANSWER");
    return;
  }
  say(terminal, await user.teach(question, told));
}

async function tell({ user, terminal }: Session, rest: string): Promise<void> {
  if (rest === "") terminal.print("Write: /tell My sister lives in Bergen.");
  else say(terminal, await user.tell(rest));
}

async function correct({ user, terminal, last }: Session, rest: string): Promise<void> {
  if (rest === "" || last === "") terminal.print("Ask something first; then write: /no It is Rex.");
  else say(terminal, await user.correct(last, rest));
}

async function forget({ user, terminal }: Session, rest: string): Promise<void> {
  const gone = await user.forget({ about: rest });
  terminal.print(gone.length === 0 ? "Nothing mentions that." : `Forgotten: ${listed(gone)}`);
}

async function list({ user, terminal }: Session): Promise<void> {
  for (const { question, answer: told } of user.facts) terminal.print(`  ${visible(question)}  ${visible(told)}`);
}

function say(terminal: Terminal, { fact, replaced }: Awaited<ReturnType<ChatUser["teach"]>>): void {
  const before = replaced.length === 0 ? "" : `, instead of: ${listed(replaced)}`;
  terminal.print(`Remembered: ${visible(fact.answer)}${before}`);
}

function listed(facts: ChatUser["facts"]): string {
  return facts.map(({ answer: told }) => visible(told)).join(" ");
}
