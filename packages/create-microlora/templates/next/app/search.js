import { PersonalSearch } from "@microlora/search";
import { openIndexedDbStore } from "@microlora/store/indexeddb";
import { documents } from "./documents.js";

/** The search of this browser; on the server, none. */
export const search = typeof window === "undefined" ? new Promise(() => {}) : open();

async function open() {
  const store = await openIndexedDbStore("search-that-learns", { wait: true });
  return PersonalSearch.create({ documents, store });
}
