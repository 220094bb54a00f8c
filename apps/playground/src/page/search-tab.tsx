import type { Remote } from "comlink";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Text } from "../text/en.js";
import { EAGERNESS } from "../worker/person.js";
import type { Found, Learned, Row, Session, Status } from "../worker/session.js";
import { Facts } from "./facts.js";
import { NearbyMap } from "./map.js";
import { People } from "./people.js";
import { Results } from "./results.js";

interface Props {
  readonly text: Text;
  readonly session: Remote<Session> | null;
  readonly status: Status | null;
  readonly onStatus: (status: Status) => void;
  readonly percent: number;
}

/** What was learned last, to be told in words. */
interface News {
  readonly learned: Learned;
  readonly title: string;
  readonly place: number;
}

export function SearchTab({ text, session, status, onStatus, percent }: Props) {
  const [query, setQuery] = useState("light");
  const [found, setFound] = useState<Found | null>(null);
  const [news, setNews] = useState<News | null>(null);
  const [forgotten, setForgotten] = useState<string | null>(null);
  const [learnTimes, setLearnTimes] = useState<readonly number[]>([]);
  const latest = useRef(0);
  const isOpen = status !== null;

  const moment = status && `${status.corpus} ${status.user} ${status.cursor} ${status.eagerness}`;
  useEffect(() => {
    if (!isOpen || session === null) return;
    const call = ++latest.current;
    void session.search(query).then((next) => {
      if (call === latest.current) setFound(next);
    });
  }, [query, moment]);

  async function choose(row: Row): Promise<void> {
    const learned = await session!.choose(query, row.id);
    const place = 1 + learned.found.mine.findIndex(({ id }) => id === row.id);
    setForgotten(null);
    setFound(learned.found);
    setNews({ learned, title: row.title, place });
    setLearnTimes((times) => [...times, learned.microseconds]);
    onStatus(learned.status);
  }

  async function changed(change: Promise<Status>): Promise<void> {
    setNews(null);
    setForgotten(null);
    onStatus(await change);
  }

  async function forget(): Promise<void> {
    const { user } = status!;
    const gone = await session!.forget();
    setNews(null);
    setLearnTimes([]);
    setForgotten(text.forgot(user, gone.bytes));
    onStatus(gone.status);
  }

  const tries = status && status.corpus in text.tries ? text.tries[status.corpus as "emoji" | "icons"] : [];
  return (
    <>
      <h1>{text.title}</h1>
      <p class="lead">{text.lead}</p>
      <div class="box">
        <input
          type="search"
          value={query}
          aria-label={text.searchLabel}
          placeholder={text.searchHint}
          spellcheck={false}
          autocomplete="off"
          maxLength={200}
          onInput={(event) => {
            setNews(null);
            setQuery(event.currentTarget.value);
          }}
          onKeyDown={(event) => {
            if (event.key === "ArrowDown") document.querySelector<HTMLElement>(".results.mine button")?.focus();
            if (event.key === "Enter" && found?.mine[0]) void choose(found.mine[0]);
          }}
        />
        <select
          aria-label={text.yours.label}
          value={status?.corpus ?? "emoji"}
          disabled={!isOpen}
          onChange={(event) => void changed(session!.openCorpus(event.currentTarget.value))}
        >
          <option value="emoji">{text.corpora.emoji}</option>
          <option value="icons">{text.corpora.icons}</option>
          {status?.corpus === "own" && <option value="own">{text.corpora.own}</option>}
        </select>
      </div>
      <div class="tries">
        {tries.length > 0 && <span>{text.try}</span>}
        {tries.map((each) => (
          <button key={each} type="button" class="chip" onClick={() => setQuery(each)}>
            {each}
          </button>
        ))}
      </div>
      {!isOpen && (
        <div class="loading">
          <progress max="100" value={percent} aria-label={text.loading(percent)} />
          <span aria-hidden="true">{text.loading(percent)}</span>
        </div>
      )}
      {isOpen && <Facts text={text} status={status} found={found} learnTimes={learnTimes} />}
      <p class="news" role="status">
        {forgotten ?? (news ? <Told text={text} news={news} onQuery={setQuery} /> : isOpen ? text.invite : "")}
      </p>
      <div class="columns">
        {found?.known === false ? (
          <p class="nothing">{text.nothingKnown}</p>
        ) : (
          <>
            <Results text={text} title={text.you(status?.user ?? "…")} rows={found?.mine ?? []} onChoose={choose} />
            <Results text={text} title={text.everyone} rows={found?.everyone ?? []} onChoose={null} />
            <section class="results" aria-label={text.map}>
              <h2>{text.map}</h2>
              {found?.map && <NearbyMap text={text} map={found.map} rows={[...found.mine, ...found.everyone]} />}
            </section>
          </>
        )}
      </div>
      {isOpen && (
        <div class="controls">
          <label title={text.eagernessHint}>
            {text.eagerness}
            <input
              type="range"
              min={Math.log2(EAGERNESS.least)}
              max={Math.log2(EAGERNESS.most)}
              step="0.5"
              value={Math.log2(status.eagerness)}
              onChange={(event) => void changed(session!.setEagerness(2 ** Number(event.currentTarget.value)))}
            />
          </label>
          <label>
            {text.time}
            <input
              type="range"
              min="0"
              max={status.clicks}
              value={status.cursor}
              disabled={status.clicks === 0}
              aria-valuetext={text.timeOf(status.cursor, status.clicks)}
              onInput={(event) => void changed(session!.goTo(Number(event.currentTarget.value)))}
            />
            <span class="quiet">{text.timeOf(status.cursor, status.clicks)}</span>
          </label>
          <span class="buttons">
            <button
              type="button"
              disabled={status.cursor === 0}
              onClick={() => void changed(session!.goTo(status.cursor - 1))}
            >
              {text.undo}
            </button>
            <button
              type="button"
              disabled={status.cursor === status.clicks}
              onClick={() => void changed(session!.goTo(status.cursor + 1))}
            >
              {text.redo}
            </button>
            <button type="button" class="danger" onClick={() => void forget()}>
              {text.forget}
            </button>
          </span>
        </div>
      )}
      {isOpen && <People text={text} session={session!} status={status} onStatus={changed} />}
    </>
  );
}

/** The last step in words: what rose, and that a query that was never asked moved too. */
function Told({
  text,
  news,
  onQuery,
}: {
  readonly text: Text;
  readonly news: News;
  readonly onQuery: (query: string) => void;
}) {
  const { related } = news.learned;
  return (
    <>
      {text.learned(news.title, news.place)}{" "}
      {related && (
        <button type="button" class="link" onClick={() => onQuery(related.query)}>
          {text.related(related.query, related.title, related.from + 1, related.to + 1)}
        </button>
      )}
    </>
  );
}
