"use client";

import { useActionState } from "react";
import { learn } from "./learn.js";

export default function Page() {
  const [outcome, act] = useActionState(learn, undefined);
  return (
    <form action={act}>
      <button type="submit">Learn</button>
      {outcome && <pre data-outcome={JSON.stringify(outcome)} />}
    </form>
  );
}
