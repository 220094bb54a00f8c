const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
const waiting = new Map();
let calls = 0;

worker.onmessage = ({ data: { id, value, error } }) => {
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (error === undefined) resolve(value);
  else reject(new Error(error));
};

/** Calls the search in the worker. */
function call(name, argument) {
  return new Promise((resolve, reject) => {
    waiting.set(++calls, { resolve, reject });
    worker.postMessage({ id: calls, name, argument });
  });
}

const text = document.querySelector("#text");
const list = document.querySelector("#hits");

async function show() {
  const asked = text.value;
  const hits = asked === "" ? [] : await call("search", asked);
  if (asked !== text.value) return;
  list.replaceChildren(...hits.map(itemOf));
}

function itemOf(hit) {
  const button = document.createElement("button");
  button.textContent = hit.id;
  button.onclick = async () => {
    await call("click", hit);
    await show();
  };
  const item = document.createElement("li");
  item.append(button);
  return item;
}

text.oninput = show;
document.querySelector("#forget").onclick = async () => {
  await call("forget");
  await show();
};
