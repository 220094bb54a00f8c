import { PersonalSearch } from "@microlora/search";
import { openIndexedDbStore } from "@microlora/store/indexeddb";
import { documents } from "./documents.js";

const ready = openIndexedDbStore("search-that-learns", { wait: true }).then((store) =>
  PersonalSearch.create({ documents, store }),
);

const calls = {
  search: async (text) => (await ready).search(text),
  click: async (hit) => (await ready).click(hit),
  forget: async () => (await ready).forget(),
};

self.onmessage = async ({ data: { id, name, argument } }) => {
  try {
    self.postMessage({ id, value: await calls[name](argument) });
  } catch (error) {
    self.postMessage({ id, error: error.message });
  }
};
