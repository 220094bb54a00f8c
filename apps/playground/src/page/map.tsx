import type { Text } from "../text/en.js";
import type { Nearby, Point } from "../worker/nearby.js";
import type { Row } from "../worker/session.js";
import { Picture } from "./picture.js";

const WIDTH = 360;
const HEIGHT = 260;
const EDGE = 26;

interface Props {
  readonly text: Text;
  readonly map: Nearby;
  readonly rows: readonly Row[];
}

/** The query before and after learning, the documents around it, and the earlier queries that act on it. */
export function NearbyMap({ text, map, rows }: Props) {
  const place = fitted([map.before, map.after, ...map.documents, ...map.memories]);
  const before = place(map.before);
  const after = place(map.after);
  const moved = Math.hypot(after.x - before.x, after.y - before.y) > 2;
  return (
    <figure class="map">
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label={text.mapDescription(map.documents.length, map.memories.length)}
      >
        <defs>
          <marker id="tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto">
            <path d="M0 0 8 4 0 8z" class="tip" />
          </marker>
        </defs>
        {map.memories.map((memory) => {
          const { x, y } = place(memory);
          return (
            <g key={memory.query} class="memory">
              <line x1={x} y1={y} x2={before.x} y2={before.y} stroke-width={0.5 + 4 * memory.share} />
              <circle cx={x} cy={y} r={3 + 5 * memory.share}>
                <title>{memory.query}</title>
              </circle>
            </g>
          );
        })}
        {map.documents.map((document) => {
          const { x, y } = place(document);
          const row = rows.find(({ id }) => id === document.id);
          if (row === undefined) return null;
          return (
            <g key={document.id} class={`document ${document.side}`}>
              <title>{row.title}</title>
              <circle cx={x} cy={y} r="13" />
              {typeof row.picture === "string" ? (
                <text x={x} y={y + 5} class="glyph">
                  {row.picture}
                </text>
              ) : row.picture ? (
                <g transform={`translate(${x - 8} ${y - 8})`}>
                  <Picture of={row.picture} size={16} />
                </g>
              ) : (
                <text x={x} y={y + 4} class="word">
                  {row.title.slice(0, 3)}
                </text>
              )}
            </g>
          );
        })}
        {moved && <line class="step" x1={before.x} y1={before.y} x2={after.x} y2={after.y} marker-end="url(#tip)" />}
        <circle class="query" cx={before.x} cy={before.y} r="4" />
        <text class="label" x={before.x} y={before.y - 8}>
          {text.before}
        </text>
        {moved && (
          <text class="label mine" x={after.x} y={after.y - 10}>
            {text.after}
          </text>
        )}
      </svg>
      <figcaption>{moved ? text.mapHint : text.mapEmpty}</figcaption>
    </figure>
  );
}

/** Places points of the plane on the picture, with the same scale both ways. */
function fitted(points: readonly Point[]): (point: Point) => Point {
  const xs = points.map(({ x }) => x);
  const ys = points.map(({ y }) => y);
  const middle = { x: (Math.min(...xs) + Math.max(...xs)) / 2, y: (Math.min(...ys) + Math.max(...ys)) / 2 };
  const wide = Math.max(1e-6, Math.max(...xs) - Math.min(...xs));
  const high = Math.max(1e-6, Math.max(...ys) - Math.min(...ys));
  const scale = Math.min((WIDTH - 2 * EDGE) / wide, (HEIGHT - 2 * EDGE) / high);
  return ({ x, y }) => ({ x: WIDTH / 2 + scale * (x - middle.x), y: HEIGHT / 2 - scale * (y - middle.y) });
}
