import { PersonalSearch } from "@microlora/search";
import { openIndexedDbStore } from "@microlora/store/indexeddb";
import { documents } from "./documents.js";

const text = document.querySelector("#text");
const list = document.querySelector("#hits");

// What is learned stays in this browser. A second tab waits until the first one is closed.
const store = await openIndexedDbStore("search-that-learns", { wait: true });
const search = await PersonalSearch.create({ documents, store });

async function show() {
  const asked = text.value;
  const hits = asked === "" ? [] : await search.search(asked);
  if (asked !== text.value) return;
  list.replaceChildren(...hits.map(itemOf));
}

function itemOf(hit) {
  const button = document.createElement("button");
  button.textContent = hit.id;
  button.onclick = async () => {
    await search.click(hit);
    await show();
  };
  const item = document.createElement("li");
  item.append(button);
  return item;
}

text.oninput = show;
document.querySelector("#forget").onclick = async () => {
  await search.forget();
  await show();
};
await show();
