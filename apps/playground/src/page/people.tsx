import type { Remote } from "comlink";
import { useState } from "preact/hooks";
import type { Text } from "../text/en.js";
import type { Session, Status } from "../worker/session.js";
import { linkOf } from "./link.js";

interface Props {
  readonly text: Text;
  readonly session: Remote<Session>;
  readonly status: Status;
  readonly onStatus: (change: Promise<Status>) => Promise<void>;
}

/** Who learns, and what of it is taken away or brought back. */
export function People({ text, session, status, onStatus }: Props) {
  const [name, setName] = useState("");
  const [told, setTold] = useState("");

  function add(branch: boolean): void {
    const free =
      name.trim() ||
      ["Ben", "Cleo", "Dan", "Eve", "Finn"].find((each) => !status.users.includes(each)) ||
      `${status.users.length + 1}`;
    setName("");
    void onStatus(session.addUser(free.slice(0, 40), branch));
  }

  async function bring(file: File): Promise<void> {
    setTold("");
    try {
      await onStatus(session.import(await file.text()));
    } catch (error) {
      setTold((error as Error).message);
    }
  }

  async function copyLink(): Promise<void> {
    const { json } = await session.export();
    const link = linkOf(json);
    await navigator.clipboard.writeText(link).then(
      () => setTold(text.linkCopied),
      () => setTold(link),
    );
  }

  return (
    <div class="people">
      <fieldset>
        <legend>{text.users}</legend>
        {status.users.map((user) => (
          <button
            key={user}
            type="button"
            class="chip"
            aria-pressed={user === status.user}
            onClick={() => void onStatus(session.use(user))}
          >
            {user}
          </button>
        ))}
        <input
          value={name}
          aria-label={text.newName}
          placeholder={text.newName}
          maxLength={40}
          onInput={(event) => setName(event.currentTarget.value)}
        />
        <button type="button" onClick={() => add(false)}>
          {text.addUser}
        </button>
        <button type="button" disabled={status.cursor === 0} onClick={() => add(true)}>
          {text.branch}
        </button>
      </fieldset>
      <fieldset>
        <legend>{text.takeAway}</legend>
        <button type="button" onClick={async () => save(`${status.user}.json`, (await session.export()).json)}>
          {text.takeJson}
        </button>
        <button type="button" onClick={async () => save(`${status.user}.mlora`, (await session.export()).mlora)}>
          {text.takeMlora}
        </button>
        <label class="file">
          {text.bring}
          <input
            type="file"
            accept=".json,application/json"
            onChange={(event) => {
              const file = event.currentTarget.files?.[0];
              if (file) void bring(file);
            }}
          />
        </label>
        <button type="button" disabled={status.corpus === "own"} onClick={() => void copyLink()}>
          {text.link}
        </button>
      </fieldset>
      <p class="told" role="status">
        {told}
      </p>
    </div>
  );
}

function save(name: string, content: string | Uint8Array): void {
  const address = URL.createObjectURL(new Blob([content as BlobPart]));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  URL.revokeObjectURL(address);
}
