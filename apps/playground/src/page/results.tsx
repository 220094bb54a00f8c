import { useLayoutEffect, useRef } from "preact/hooks";
import type { Text } from "../text/en.js";
import type { Row } from "../worker/session.js";
import { Picture } from "./picture.js";

interface Props {
  readonly text: Text;
  readonly title: string;
  readonly rows: readonly Row[];
  /** Null where the list is only to be looked at. */
  readonly onChoose: ((row: Row) => void) | null;
}

/** A list of results, whose rows glide to their new places. */
export function Results({ text, title, rows, onChoose }: Props) {
  const list = useRef<HTMLOListElement>(null);
  useGlide(list, rows.map(({ id }) => id).join(" "));
  return (
    <section class={onChoose ? "results mine" : "results"} aria-label={title}>
      <h2>{title}</h2>
      <ol ref={list}>
        {rows.map((row) => (
          <li key={row.id} data-id={row.id}>
            {onChoose ? (
              <button type="button" onClick={() => onChoose(row)} onKeyDown={moveAlong}>
                <Line text={text} row={row} isMine />
              </button>
            ) : (
              <div class="line">
                <Line text={text} row={row} isMine={false} />
              </div>
            )}
          </li>
        ))}
      </ol>
    </section>
  );
}

function Line({ text, row, isMine }: { readonly text: Text; readonly row: Row; readonly isMine: boolean }) {
  return (
    <>
      <Picture of={row.picture} />
      <span class="title">{row.title}</span>
      {isMine && <Rise text={text} rose={row.rose} />}
    </>
  );
}

function Rise({ text, rose }: { readonly text: Text; readonly rose: number | null }) {
  if (rose === 0) return null;
  if (rose === null) return <span class="rise up">{text.isNew}</span>;
  return (
    <span
      role="img"
      class={rose > 0 ? "rise up" : "rise down"}
      aria-label={rose > 0 ? text.rose(rose) : text.fell(-rose)}
    >
      {rose > 0 ? "▲" : "▼"} {Math.abs(rose)}
    </span>
  );
}

/** Arrow keys go from row to row. */
function moveAlong(event: KeyboardEvent): void {
  const row = (event.currentTarget as HTMLElement).closest("li");
  const next = { ArrowDown: row?.nextElementSibling, ArrowUp: row?.previousElementSibling }[event.key];
  if (!next) return;
  event.preventDefault();
  next.querySelector("button")?.focus();
}

/** Rows go from where they were to where they are; the focus stays on the row that had it. */
function useGlide(list: { readonly current: HTMLOListElement | null }, order: string): void {
  const places = useRef(new Map<string, number>());
  useLayoutEffect(() => {
    const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const next = new Map<string, number>();
    for (const row of list.current?.children ?? []) {
      const { id = "" } = (row as HTMLElement).dataset;
      const top = (row as HTMLElement).offsetTop;
      const from = places.current.get(id);
      next.set(id, top);
      if (isStill || from === top || places.current.size === 0) continue;
      const shift = from === undefined ? "translateX(-12px)" : `translateY(${from - top}px)`;
      row.animate(
        [
          { transform: shift, opacity: from === undefined ? 0 : 1 },
          { transform: "none", opacity: 1 },
        ],
        {
          duration: 320,
          easing: "cubic-bezier(.2,.8,.2,1)",
        },
      );
    }
    places.current = next;
  }, [order]);
}
