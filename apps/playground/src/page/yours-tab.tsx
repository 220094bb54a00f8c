import type { Remote } from "comlink";
import { useState } from "preact/hooks";
import type { Text } from "../text/en.js";
import type { Session, Status } from "../worker/session.js";
import { ModelFiles } from "./files.js";

interface Props {
  readonly text: Text;
  readonly session: Remote<Session>;
  readonly onReady: (status: Status) => void;
}

/** Most documents that the page takes. */
const MOST = 20_000;

/** The reader's own documents, one a line. */
export function YoursTab({ text, session, onReady }: Props) {
  const [lines, setLines] = useState(text.yours.example);
  const [told, setTold] = useState("");

  async function use(): Promise<void> {
    const titles = titlesOf(lines);
    if (titles.length < 2) {
      setTold(text.yours.none);
      return;
    }
    onReady(await session.openCorpus("own", titles));
  }

  return (
    <section class="yours">
      <h1>{text.tabs.yours}</h1>
      <p class="lead">{text.yours.lead}</p>
      <textarea
        aria-label={text.yours.label}
        rows={12}
        value={lines}
        onInput={(event) => setLines(event.currentTarget.value)}
      />
      <div class="buttons">
        <label class="file">
          {text.yours.file}
          <input
            type="file"
            accept=".csv,.txt,text/csv,text/plain"
            onChange={async (event) => {
              const file = event.currentTarget.files?.[0];
              if (file) setLines(await file.text());
            }}
          />
        </label>
        <button type="button" class="main" onClick={() => void use()}>
          {text.yours.use}
        </button>
        <span role="status">{told || text.yours.ready(titlesOf(lines).length)}</span>
      </div>
      <ModelFiles text={text} />
    </section>
  );
}

/** The first column of each line, without its quotation marks. */
function titlesOf(lines: string): string[] {
  const titles = lines.split(/\r?\n/).map((line) => {
    const quoted = /^"((?:[^"]|"")*)"/.exec(line);
    return (quoted ? quoted[1]!.replaceAll('""', '"') : line.split(/[,;\t]/)[0]!).trim().slice(0, 500);
  });
  return [...new Set(titles.filter((title) => title !== ""))].slice(0, MOST);
}
