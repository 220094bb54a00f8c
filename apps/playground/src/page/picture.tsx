import { h } from "preact";
import type { Picture as Drawing } from "../worker/corpus.js";

/** A document's emoji or icon. @param size in pixels, where the style sheet does not say */
export function Picture({ of, size }: { readonly of: Drawing | null; readonly size?: number }) {
  if (of === null) return null;
  if (typeof of === "string")
    return (
      <span class="picture" aria-hidden="true">
        {of}
      </span>
    );
  return (
    <svg class="picture" viewBox="0 0 24 24" width={size} height={size} aria-hidden="true">
      {of.map(([tag, attributes], i) => h(tag, { key: i, ...attributes }))}
    </svg>
  );
}
