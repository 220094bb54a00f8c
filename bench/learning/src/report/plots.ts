import * as Plot from "@observablehq/plot";
import { mean } from "../first-run.js";
import { type Estimate, estimate, figure, type ProblemResult } from "../results.js";
import { SETTINGS } from "../settings.js";
import { ACCENT, document, INK, labels, STYLE, svg } from "./picture.js";
import { rowsOf } from "./tables.js";

/** One point with an interval on both axes. */
export interface Point {
  readonly label: string;
  readonly x: Estimate;
  readonly y: Estimate;
}

/** Gain over the base against what learning cost on unrelated requests: right is better, and so is up. */
export function gainAgainstCollateral(result: ProblemResult): string {
  const points = rowsOf(result).map(([name, runs]) => ({
    label: SETTINGS[name].label,
    x: estimate(figure(runs, "gain")),
    y: estimate(figure(runs, "collateral").map((change) => 100 * change)),
  }));
  return scatter(points, { x: `ACC above the base (${result.quality})`, y: "unrelated requests, change in %" });
}

/** Points with intervals and their names beside them, and a line where two percent are lost. */
export function scatter(points: readonly Point[], { x, y }: { readonly x: string; readonly y: string }): string {
  const cross = points.flatMap(({ x: across, y: up }) => [
    { x1: across.mean - across.interval, x2: across.mean + across.interval, y1: up.mean, y2: up.mean },
    { x1: across.mean, x2: across.mean, y1: up.mean - up.interval, y2: up.mean + up.interval },
  ]);
  return svg(
    Plot.plot({
      document,
      width: 760,
      height: 460,
      marginTop: 30,
      marginRight: 150,
      marginLeft: 60,
      style: STYLE,
      grid: true,
      x: { label: x, nice: true },
      y: { label: y, nice: true },
      marks: [
        Plot.ruleY([-2], { stroke: "#b45309", strokeDasharray: "4 3" }),
        Plot.link(cross, { x1: "x1", x2: "x2", y1: "y1", y2: "y2", stroke: "#a8a29e" }),
        Plot.dot(points, { x: (p: Point) => p.x.mean, y: (p: Point) => p.y.mean, fill: ACCENT, r: 4 }),
        labels(points, {
          x: (p: Point) => p.x.mean,
          y: (p: Point) => p.y.mean,
          text: "label",
        }),
      ],
    }),
  );
}

/** Mean quality on each task after each session, one small picture a setting; a number marks a task's own session. */
export function sessionCurves(result: ProblemResult): string {
  const points = rowsOf(result).flatMap(([name, runs]) =>
    (runs[0]?.matrix ?? []).flatMap((row, session) =>
      row.map((_, task) => ({
        setting: SETTINGS[name].label as string,
        session,
        task: task + 1,
        quality: mean(runs.map(({ matrix }) => matrix[session]![task]!)),
      })),
    ),
  );
  const settings = [...new Set(points.map(({ setting }) => setting))];
  const columns = 5;
  const column = ({ setting }: { setting: string }) => settings.indexOf(setting) % columns;
  const row = ({ setting }: { setting: string }) => Math.floor(settings.indexOf(setting) / columns);
  return svg(
    Plot.plot({
      document,
      width: 900,
      marginTop: 34,
      height: 60 + 150 * Math.ceil(settings.length / columns),
      style: STYLE,
      grid: true,
      x: { label: "session", ticks: 4 },
      y: { label: result.quality, nice: true },
      fx: { axis: null },
      fy: { axis: null },
      color: { scheme: "Observable10" },
      marks: [
        Plot.frame({ stroke: "#e7e5e4" }),
        Plot.line(points, {
          x: "session",
          y: "quality",
          z: (p) => `${p.setting} ${p.task}`,
          stroke: "task",
          fx: column,
          fy: row,
        }),
        Plot.text(
          points.filter(({ session, task }) => session === task),
          { x: "session", y: "quality", text: "task", fill: "task", dy: -8, fx: column, fy: row },
        ),
        Plot.text(
          settings.map((setting) => ({ setting })),
          {
            text: "setting",
            frameAnchor: "top-left",
            dx: 4,
            dy: -12,
            fx: column,
            fy: row,
            fill: INK,
          },
        ),
      ],
    }),
  );
}
