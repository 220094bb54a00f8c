/** The state of the service in a browser: one file, no request to anywhere else. It asks for a key where the service has keys. */
export const STATUS_PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>MicroLoRA</title>
<style>
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
  body { max-width: 44rem; margin: 2rem auto; padding: 0 1rem; }
  h1 { font-size: 1.4rem; }
  table { border-collapse: collapse; width: 100%; }
  th, td { text-align: left; padding: .35rem .5rem; border-bottom: 1px solid #8884; }
  td { text-align: right; font-variant-numeric: tabular-nums; }
  form { margin: 1rem 0; display: flex; gap: .5rem; }
  input { flex: 1; font: inherit; }
  button { font: inherit; }
  #message { min-height: 1.5rem; }
</style>
<h1>MicroLoRA</h1>
<p id="message" role="status">Reading …</p>
<form hidden><label for="key">Key</label> <input id="key" type="password" autocomplete="off"><button>Show</button></form>
<table hidden><tbody></tbody></table>
<script>
  const ROWS = [
    ["Users in memory", "microlora_hot_users"],
    ["Memory of users, MiB", "microlora_hot_users_bytes", (v) => v / 2 ** 20],
    ["Users in use now", "microlora_pinned_users"],
    ["Indexes in memory", "microlora_hot_indexes"],
    ["Memory of indexes, MiB", "microlora_hot_indexes_bytes", (v) => v / 2 ** 20],
    ["Events learned since the start", 'microlora_feedback_events_total{status="learned"}'],
    ["Events told again", 'microlora_feedback_events_total{status="duplicate"}'],
    ["Events refused", 'microlora_feedback_events_total{status="refused"}'],
    ["Searches that wait for feedback", "microlora_shown_requests"],
    ["Snapshots that failed", "microlora_user_snapshots_failed"],
    ["Memory of the process, MiB", "process_resident_memory_bytes", (v) => v / 2 ** 20],
    ["Event loop delay, p99, ms", "nodejs_eventloop_lag_p99_seconds", (v) => v * 1000],
  ];
  const form = document.querySelector("form");
  const message = document.querySelector("#message");
  const table = document.querySelector("table");
  let key = "";
  let learnedBefore = null;
  function valuesOf(text) {
    const values = new Map();
    for (const line of text.split("\\n")) {
      const at = line.lastIndexOf(" ");
      if (line !== "" && !line.startsWith("#")) values.set(line.slice(0, at), Number(line.slice(at + 1)));
    }
    return values;
  }
  function show(values) {
    const body = table.tBodies[0];
    body.replaceChildren();
    const add = (name, value) => {
      const row = body.insertRow();
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = name;
      row.append(head);
      row.insertCell().textContent = value.toLocaleString("en", { maximumFractionDigits: 1 });
    };
    for (const [name, metric, scaled = (v) => v] of ROWS) add(name, scaled(values.get(metric) ?? 0));
    const learned = values.get('microlora_feedback_events_total{status="learned"}') ?? 0;
    const now = performance.now();
    if (learnedBefore !== null) add("Events learned a second", (1000 * (learned - learnedBefore.count)) / (now - learnedBefore.at));
    learnedBefore = { count: learned, at: now };
    table.hidden = false;
  }
  async function read() {
    try {
      const answer = await fetch("metrics", { headers: key === "" ? {} : { authorization: "Bearer " + key } });
      form.hidden = answer.ok;
      if (answer.ok) show(valuesOf(await answer.text()));
      message.textContent = answer.ok ? "Read " + new Date().toLocaleTimeString() : "A key with the scope admin is needed.";
      if (answer.ok) setTimeout(read, 2000);
    } catch {
      message.textContent = "The service does not answer.";
      setTimeout(read, 5000);
    }
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    key = document.querySelector("#key").value.trim();
    read();
  });
  read();
</script>
</html>
`;
