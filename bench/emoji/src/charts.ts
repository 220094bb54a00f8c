import { scaleBand, scaleLinear, scaleSequential } from "d3-scale";
import { interpolateYlGnBu } from "d3-scale-chromatic";
import { line } from "d3-shape";
import type { CurvePoint } from "./experiment.js";
import type { LearnerName } from "./hyperparameters.js";
import type { SessionMatrix } from "./sessions.js";
import { LABELS } from "./tables.js";

const COLOURS: Partial<Record<LearnerName, string>> = { all: "#0f766e", offset: "#b45309" };

/** MRR on unseen queries as clicks come in, one line a learner, as SVG. */
export function learningCurve(points: readonly CurvePoint[]): string {
  const [width, height, left, right, top, bottom] = [680, 320, 50, 500, 20, 280];
  const most = Math.max(...points.map(({ clicks }) => clicks));
  const x = scaleLinear([0, most], [left, right]);
  const low = Math.min(...points.map(({ mrr }) => mrr));
  const high = Math.max(...points.map(({ mrr }) => mrr));
  const y = scaleLinear([low, high], [bottom, top]).nice();
  const path = line<CurvePoint>(
    (point) => x(point.clicks),
    (point) => y(point.mrr),
  );
  const grid = y
    .ticks(6)
    .map(
      (mrr) =>
        `<line x1="${left}" x2="${right}" y1="${y(mrr)}" y2="${y(mrr)}" stroke="#e7e5e4"/>` +
        textAt(left - 8, y(mrr) + 4, y.tickFormat(6)(mrr), 'text-anchor="end" fill="#78716c"'),
    );
  const ticks = x
    .ticks(8)
    .map((clicks) => textAt(x(clicks), bottom + 20, String(clicks), 'text-anchor="middle" fill="#78716c"'));
  const learners = [...new Set(points.map(({ learner }) => learner))];
  const lines = learners.map((learner) => {
    const own = points.filter((point) => point.learner === learner);
    const last = own.at(-1)!;
    const colour = COLOURS[learner] ?? "#44403c";
    return (
      `<path d="${path(own)}" fill="none" stroke="${colour}" stroke-width="2"/>` +
      own.map((point) => `<circle cx="${x(point.clicks)}" cy="${y(point.mrr)}" r="2.5" fill="${colour}"/>`).join("") +
      textAt(x(last.clicks) + 8, y(last.mrr) + 4, LABELS[learner], `fill="${colour}"`)
    );
  });
  const axes =
    textAt(left, 12, "MRR on unseen queries", 'fill="#78716c"') +
    textAt(right, bottom + 36, "clicks", 'text-anchor="end" fill="#78716c"');
  return svg(width, height, "MRR on unseen queries as clicks come in", [...grid, ...ticks, axes, ...lines]);
}

/**
 * How well each preference does before anything and after each session, as SVG: a framed cell is a preference's own
 * session, and what fades to the right of it was forgotten.
 */
export function forgettingMatrix(matrix: SessionMatrix, range: readonly [number, number]): string {
  const [width, height, left, top] = [520, 220, 100, 24];
  const preferences = [...(matrix[0]?.keys() ?? [])];
  const x = scaleBand([...matrix.keys()], [left, width]).padding(0.04);
  const y = scaleBand(preferences, [top, height]).padding(0.06);
  const colour = scaleSequential([...range], interpolateYlGnBu);
  const middle = (range[0] + range[1]) / 2;
  const heads = [...matrix.keys()].map((session) =>
    textAt(
      x(session)! + x.bandwidth() / 2,
      top - 8,
      session === 0 ? "before" : `after ${session}`,
      'text-anchor="middle" fill="#78716c"',
    ),
  );
  const rows = preferences.map((task) => {
    const cells = matrix.map((row, session) => {
      const mrr = row[task]!;
      const frame = session === task + 1 ? ' stroke="#b45309" stroke-width="2"' : "";
      const ink = mrr > middle ? "white" : "#1c1917";
      return (
        `<rect x="${x(session)}" y="${y(task)}" width="${x.bandwidth()}" height="${y.bandwidth()}" rx="3" fill="${colour(mrr)}"${frame}/>` +
        textAt(
          x(session)! + x.bandwidth() / 2,
          y(task)! + y.bandwidth() / 2 + 4,
          mrr.toFixed(3),
          `text-anchor="middle" fill="${ink}"`,
        )
      );
    });
    return (
      textAt(left - 10, y(task)! + y.bandwidth() / 2 + 4, `preference ${task + 1}`, 'text-anchor="end"') +
      cells.join("")
    );
  });
  return svg(width, height, "MRR of each preference after each session", [...heads, ...rows]);
}

/** The least and the greatest value of several matrices, so that their colours compare. */
export function rangeOf(matrices: readonly SessionMatrix[]): [number, number] {
  const values = matrices.flat(2);
  return [Math.min(...values), Math.max(...values)];
}

function svg(width: number, height: number, title: string, parts: readonly string[]): string {
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" role="img" font-size="12">`;
  return `${head}<title>${title}</title>${parts.join("")}</svg>`;
}

function textAt(x: number, y: number, text: string, attributes: string): string {
  return `<text x="${x}" y="${y}" ${attributes}>${text}</text>`;
}
