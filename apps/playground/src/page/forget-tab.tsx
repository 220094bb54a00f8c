import type { Remote } from "comlink";
import { useEffect, useState } from "preact/hooks";
import type { Text } from "../text/en.js";
import type { Forgetting, ForgettingOptions } from "../worker/forgetting.js";
import type { Session } from "../worker/session.js";

interface Props {
  readonly text: Text;
  readonly session: Remote<Session>;
}

const RANKS = [1, 2, 8] as const;
/** Between two rounds, long enough to see what moves. */
const PAUSE_MS = 250;

/** Four tastes, one after the other, and what becomes of the earlier ones. */
export function ForgetTab({ text, session }: Props) {
  const [options, setOptions] = useState<ForgettingOptions>({ rank: 2, ewc: false, recall: false });
  const [state, setState] = useState<Forgetting | null>(null);
  const [isPlaying, setPlaying] = useState(false);
  const { forgetTab: words } = text;

  useEffect(() => {
    setPlaying(false);
    void session.beginForgetting(options).then(setState);
  }, [options]);
  useEffect(() => {
    if (!isPlaying || state === null) return;
    if (state.round === state.rounds) return setPlaying(false);
    const timer = setTimeout(() => void session.learnOn().then(setState), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [isPlaying, state]);

  const isOver = state !== null && state.round === state.rounds;
  return (
    <section class="forgetting">
      <h1>{text.tabs.forget}</h1>
      <p class="lead">{words.lead}</p>
      <div class="buttons">
        <fieldset class="choice">
          <legend>{words.rank}</legend>
          {RANKS.map((rank) => (
            <label key={rank}>
              <input
                type="radio"
                name="rank"
                checked={options.rank === rank}
                onChange={() => setOptions({ ...options, rank })}
              />
              {rank}
            </label>
          ))}
        </fieldset>
        {(["ewc", "recall"] as const).map((name) => (
          <label key={name} title={words.hints[name]}>
            <input
              type="checkbox"
              checked={options[name]}
              onChange={() => setOptions({ ...options, [name]: !options[name] })}
            />
            {words[name]}
          </label>
        ))}
        <button type="button" class="main" disabled={isOver} onClick={() => setPlaying(!isPlaying)}>
          {isPlaying ? words.pause : words.play}
        </button>
        <button type="button" disabled={isOver || isPlaying} onClick={() => void session.learnOn().then(setState)}>
          {words.step}
        </button>
        <button type="button" onClick={() => setOptions({ ...options })}>
          {words.reset}
        </button>
      </div>
      {state && (
        <>
          <p role="status">{isOver ? words.over(keptOf(state)) : words.now(state.round, state.rounds, state.taste)}</p>
          <table class="matrix">
            <caption>{words.caption}</caption>
            <thead>
              <tr>
                <td />
                {words.tastes.map((taste) => (
                  <th key={taste} scope="col">
                    {taste}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {[words.before, ...words.tastes.map(words.after)].map((row, i) => (
                <tr key={row}>
                  <th scope="row">{row}</th>
                  {words.tastes.map((taste, j) => (
                    <Cell key={taste} quality={state.matrix[i]?.[j]} isOwn={i === j + 1} />
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
          <p class="hint">{words.reading}</p>
        </>
      )}
    </section>
  );
}

/** A share of 1, as a colour and as a number. */
function Cell({ quality, isOwn }: { readonly quality: number | undefined; readonly isOwn: boolean }) {
  if (quality === undefined) return <td />;
  return (
    <td class={isOwn ? "own" : ""} style={{ "--share": `${Math.round(100 * quality)}%` }}>
      {quality.toFixed(2)}
    </td>
  );
}

/** Quality of each taste right after it was learned, and at the end, as means. */
function keptOf({ matrix }: Forgetting): { readonly learned: number; readonly kept: number; readonly before: number } {
  const mean = (values: readonly number[]) => values.reduce((sum, each) => sum + each, 0) / values.length;
  return {
    before: mean(matrix[0]!),
    learned: mean(matrix[0]!.map((_, i) => matrix[i + 1]![i]!)),
    kept: mean(matrix.at(-1)!),
  };
}
