import type { Text } from "../text/en.js";
import type { Found, Status } from "../worker/session.js";

interface Props {
  readonly text: Text;
  readonly status: Status;
  readonly found: Found | null;
  readonly learnTimes: readonly number[];
}

/** What it costs: microseconds, bytes, and the change of other searches. */
export function Facts({ text, status, found, learnTimes }: Props) {
  const { facts } = text;
  const elsewhere = `${status.elsewhere > 0.0005 ? "+" : status.elsewhere < -0.0005 ? "−" : "±"}${Math.abs(100 * status.elsewhere).toFixed(1)} %`;
  const rows: readonly (readonly [string, string, string?])[] = [
    [facts.embed, microseconds(found?.microseconds.embed)],
    [facts.search, microseconds(found?.microseconds.search)],
    [facts.learn, microseconds(median(learnTimes))],
    [facts.choices, String(status.cursor)],
    [facts.bytes, `${(status.bytes / 1024).toFixed(1)} KB`],
    [facts.elsewhere, elsewhere, text.elsewhereHint],
  ];
  return (
    <dl class="facts">
      {rows.map(([name, value, hint]) => (
        <div key={name} title={hint}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function microseconds(value: number | undefined): string {
  if (value === undefined || value === 0) return "–";
  return value < 10 ? `${value.toFixed(1)} µs` : `${Math.round(value)} µs`;
}

function median(values: readonly number[]): number | undefined {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}
