"use client";

import { usePersonalSearch } from "@microlora/integrations/react";
import { useState } from "react";
import { search } from "./search.js";

export default function Page() {
  const [text, setText] = useState("");
  const { hits, click, error } = usePersonalSearch(search, text);
  return (
    <main>
      <label>
        Search <input id="text" value={text} onChange={(event) => setText(event.target.value)} />
      </label>
      {error && <p role="alert">{error.message}</p>}
      <ol id="hits">
        {hits.map((hit) => (
          <li key={hit.id}>
            <button type="button" onClick={() => click(hit)}>
              {hit.id}
            </button>
          </li>
        ))}
      </ol>
    </main>
  );
}
