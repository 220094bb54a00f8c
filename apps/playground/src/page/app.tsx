import { proxy, type Remote } from "comlink";
import { useEffect, useRef, useState } from "preact/hooks";
import { de } from "../text/de.js";
import { en, type Text } from "../text/en.js";
import type { Session, Status } from "../worker/session.js";
import type { Keeping } from "../worker/shelf.js";
import { About } from "./about.js";
import { ForgetTab } from "./forget-tab.js";
import { replayed } from "./link.js";
import { SearchTab } from "./search-tab.js";
import { startSession } from "./session.js";
import { YoursTab } from "./yours-tab.js";

const TABS = ["search", "forget", "yours", "about"] as const;
type Tab = (typeof TABS)[number];

export function App() {
  const [text, setText] = useState<Text>(navigator.language.startsWith("de") ? de : en);
  const [tab, setTab] = useState<Tab>("search");
  const [percent, setPercent] = useState(0);
  const [keeping, setKeeping] = useState<Keeping | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [status, setStatus] = useState<Status | null>(null);
  const session = useRef<Remote<Session> | null>(null);

  useEffect(() => {
    document.documentElement.lang = text === de ? "de" : "en";
  }, [text]);
  useEffect(() => {
    const started = startSession(setKeeping);
    session.current = started;
    const onProgress = proxy((loaded: number, total: number) =>
      setPercent(total ? Math.floor((100 * loaded) / total) : 0),
    );
    started
      .open("emoji", onProgress)
      .then((opened) => replayed(started, opened))
      .then(setStatus, (error: Error) => setFailure(error.message));
  }, []);

  return (
    <div class="page">
      <header>
        <img src="./icon.svg" alt="" width="28" height="28" />
        <div class="tabs" role="tablist" aria-label="MicroLoRA">
          {TABS.map((each) => (
            <button
              key={each}
              type="button"
              role="tab"
              id={`tab-${each}`}
              aria-selected={tab === each}
              aria-controls="panel"
              tabIndex={tab === each ? 0 : -1}
              onClick={() => setTab(each)}
              onKeyDown={(event) => moveTab(event, each, setTab)}
            >
              {text.tabs[each]}
            </button>
          ))}
        </div>
        <button type="button" class="quiet" onClick={() => setText(text === en ? de : en)}>
          {text.language}
        </button>
        <button type="button" class="quiet" aria-label={text.theme} title={text.theme} onClick={switchTheme}>
          ◐
        </button>
      </header>
      <main>
        <div id="panel" role="tabpanel" aria-labelledby={`tab-${tab}`}>
          {keeping && keeping.kind !== "kept" && status && (
            <p class="notice" role="status">
              {keeping.kind === "memory" ? text.keeping.memory(keeping.why) : text.keeping["other-tab"]}{" "}
              {keeping.kind === "other-tab" && (
                <button type="button" onClick={() => void session.current!.takeOver().then(setStatus)}>
                  {text.keeping.takeOver}
                </button>
              )}
            </p>
          )}
          {failure !== null && (
            <p class="notice" role="alert">
              {text.failed(failure)}
            </p>
          )}
          {tab === "search" && (
            <SearchTab text={text} session={session.current} status={status} onStatus={setStatus} percent={percent} />
          )}
          {tab === "forget" && status && <ForgetTab text={text} session={session.current!} />}
          {tab === "yours" && status && (
            <YoursTab
              text={text}
              session={session.current!}
              onReady={(ready) => {
                setStatus(ready);
                setTab("search");
              }}
            />
          )}
          {tab === "about" && <About isGerman={text === de} />}
        </div>
      </main>
    </div>
  );
}

/** Arrow keys go from tab to tab, and take the focus along. */
function moveTab(event: KeyboardEvent, tab: Tab, setTab: (tab: Tab) => void): void {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (by === undefined) return;
  const next = TABS[(TABS.indexOf(tab) + by + TABS.length) % TABS.length]!;
  setTab(next);
  document.getElementById(`tab-${next}`)?.focus();
}

function switchTheme(): void {
  const { documentElement: root } = document;
  const isDark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
}
