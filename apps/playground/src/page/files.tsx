import { type Remote, wrap } from "comlink";
import { useRef, useState } from "preact/hooks";
import type { Text } from "../text/en.js";
import type { FileReport, Files, TakeAway } from "../worker/files.js";

const TAKE_AWAY: readonly TakeAway[] = ["mlora", "peft", "gguf", "onnx_adapter"];

/** A model or an adapter of the reader's: what is in it, and the adapter in other formats. */
export function ModelFiles({ text }: { readonly text: Text }) {
  const worker = useRef<Remote<Files> | null>(null);
  const [report, setReport] = useState<FileReport | null>(null);
  const [told, setTold] = useState("");
  const { files: words } = text;

  async function attempt(action: (files: Remote<Files>) => Promise<void>): Promise<void> {
    worker.current ??= wrap<Files>(
      new Worker(new URL("../worker/files.ts", import.meta.url), { type: "module", name: "files" }),
    );
    setTold(words.working);
    try {
      await action(worker.current);
    } catch (error) {
      setTold(error instanceof Error ? error.message : String(error));
    }
  }

  const look = (list: FileList | null) =>
    list !== null &&
    list.length > 0 &&
    attempt(async (files) => {
      setReport(null);
      const found = await files.look([...list]);
      setReport(found);
      setTold(words.found(found));
    });

  const takeAway = (as: TakeAway) =>
    attempt(async (files) => {
      for (const { name, bytes } of await files.takeAway(as)) {
        const link = document.createElement("a");
        link.href = URL.createObjectURL(new Blob([bytes]));
        link.download = name;
        link.click();
        URL.revokeObjectURL(link.href);
      }
      setTold(words.taken);
    });

  return (
    <section class="files">
      <h2>{words.title}</h2>
      <p class="lead">{words.lead}</p>
      <div class="buttons">
        <label class="file">
          {words.open}
          <input
            type="file"
            multiple
            accept=".onnx,.safetensors,.bin,.gguf,.onnx_adapter,.mlora,.json"
            onChange={(event) => void look(event.currentTarget.files)}
          />
        </label>
        {report?.kind === "adapter" &&
          TAKE_AWAY.map((as) => (
            <button key={as} type="button" onClick={() => void takeAway(as)}>
              {words.as[as]}
            </button>
          ))}
        <span role="status">{told}</span>
      </div>
      {report?.kind === "model" && (
        <Table
          caption={words.model}
          titles={words.modelTitles}
          rows={report.rows.map(({ name, count, shape, operator, notAdapted, notLearned }) => [
            count === 1 ? name : `${name} (${count})`,
            shape,
            operator,
            notAdapted ?? words.yes,
            notLearned ?? words.yes,
          ])}
        />
      )}
      {report?.kind === "adapter" && (
        <>
          {report.warnings.map((warning) => (
            <p key={warning} class="notice">
              {warning}
            </p>
          ))}
          <Table
            caption={report.format}
            titles={words.adapterTitles}
            rows={report.rows.map(({ module, rank, shape, scaling }) => [module, `${rank}`, shape, `${scaling}`])}
          />
        </>
      )}
    </section>
  );
}

interface TableProps {
  readonly caption: string;
  readonly titles: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

function Table({ caption, titles, rows }: TableProps) {
  return (
    <table class="plain">
      <caption>{caption}</caption>
      <thead>
        <tr>
          {titles.map((title) => (
            <th key={title} scope="col">
              {title}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map(([name, ...cells]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            {cells.map((cell, i) => (
              <td key={titles[i + 1]}>{cell}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
