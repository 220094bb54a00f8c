import type { FileReport } from "../worker/files.js";

/** Everything that the page says. */
export const en = {
  title: "A search that learns from your click",
  lead: "In this tab, in microseconds. Nothing leaves your device, and one button forgets it.",
  tabs: { search: "Search", forget: "Forgetting", yours: "Your documents", about: "What is this?" },
  corpora: { emoji: "Emoji", icons: "Icons", own: "Your documents" },
  loading: (percent: number) => `Loading the embedder: ${percent} %`,
  failed: (why: string) => `The page could not start. ${why}`,
  searchLabel: "Search",
  searchHint: "Type anything, then choose what you meant",
  try: "Try",
  tries: { emoji: ["light", "orange", "bank", "crane", "home"], icons: ["save", "money", "time", "home", "good"] },
  you: (name: string) => `${name} (you)`,
  everyone: "Everyone",
  nothingKnown: "The embedder knows no word of that. It speaks English.",
  rose: (places: number) => `up ${places}`,
  fell: (places: number) => `down ${places}`,
  isNew: "new here",
  learned: (title: string, place: number) => `Learned. “${title}” is now number ${place} for you.`,
  related: (query: string, title: string, from: number, to: number) =>
    `You never searched “${query}”, and there “${title}” went from ${from} to ${to}.`,
  invite: "Choose what you meant in your list: it is learned at once.",
  map: "Map of the moment",
  mapHint: "The arrow is the step that learning gave your query. Axis x lies along it.",
  mapEmpty: "Nothing learned here yet: the query stands where everyone’s stands.",
  mapDescription: (documents: number, memories: number) =>
    `A map of your query, of ${documents} documents around it, and of ${memories} earlier queries that act on it.`,
  before: "query",
  after: "yours",
  facts: {
    embed: "text to vector",
    search: "search",
    learn: "learned in",
    choices: "choices",
    bytes: "you weigh",
    elsewhere: "elsewhere",
  },
  elsewhereHint: "Change of finding 300 documents by their own names",
  eagerness: "Eagerness",
  eagernessHint: "How far one choice moves the list. More gains more, and costs more elsewhere.",
  time: "Time",
  timeOf: (cursor: number, clicks: number) => `after ${cursor} of ${clicks} choices`,
  undo: "Undo",
  redo: "Redo",
  forget: "Forget me",
  forgot: (name: string, bytes: number) =>
    `${name} is forgotten: ${bytes.toLocaleString("en")} bytes are gone, from memory and disk.`,
  users: "Users",
  addUser: "New user",
  branch: "New user from here",
  newName: "Name",
  takeAway: "Take away",
  takeJson: "My choices (.json)",
  takeMlora: "What was learned (.mlora)",
  bring: "Bring choices back",
  link: "Copy a link that replays this",
  linkCopied: "The link is copied. It holds your choices themselves.",
  keeping: {
    "other-tab": "Another tab is learning and saving. What you choose here is not kept.",
    takeOver: "Save here instead",
    memory: (why: string) => `This browser keeps nothing for the page, so what you teach ends with the tab. ${why}`,
  },
  forgetTab: {
    lead: "One person has four tastes, and teaches them one after the other. The weights that learn the second have to keep the first. Here they learn, in this tab, while you watch.",
    rank: "Rank",
    ewc: "EWC",
    recall: "Recall",
    hints: {
      ewc: "Each weight is held where it was, as strongly as it mattered to earlier tastes.",
      recall: "Queries are kept one by one, as in the search of this page.",
    },
    play: "Play",
    pause: "Pause",
    step: "One round",
    reset: "Start again",
    tastes: ["colours mean hearts", "animals mean faces", "jobs mean women", "numbers mean clocks"],
    before: "before",
    after: (taste: string) => `after “${taste}”`,
    caption: "How well each taste is found, by words that were not taught",
    now: (round: number, rounds: number, taste: number) =>
      `Round ${round} of ${rounds}: taste ${Math.min(taste + 1, 4)} of 4.`,
    over: ({ before, learned, kept }: { before: number; learned: number; kept: number }) =>
      `Found ${before.toFixed(2)} before, ${learned.toFixed(2)} right after each taste, ${kept.toFixed(2)} at the end. Forgotten: ${(learned - kept).toFixed(2)}.`,
    reading:
      "1.00 means that the first hit is the one that is meant. Each row is a moment, each column a taste. Read a column downwards from its framed cell: where numbers fall, something was forgotten.",
  },
  yours: {
    lead: "One document a line, or a CSV file whose first column is the title. They stay in this tab.",
    label: "Documents",
    file: "Open a file",
    use: "Search these",
    none: "Give at least two different lines.",
    ready: (count: number) => `${count.toLocaleString("en")} documents are ready.`,
    example:
      "mountain bike with disc brakes\ncity bike with basket\nracing bike made of carbon\nchildren's bike with training wheels\nbike lock\nbike pump\nrain jacket for cyclists\nwinter gloves\nhelmet with light\nrepair kit for tyres",
  },
  files: {
    title: "A model or an adapter of yours",
    lead: "An .onnx model: which of its layers can be adapted, and which can learn. An adapter of PEFT (both files), llama.cpp, Olive or this project: what is in it, and the same in other formats. Nothing leaves this tab.",
    open: "Open a model or an adapter",
    working: "Reading …",
    found: (report: FileReport) =>
      report.kind === "model"
        ? `${report.rows.length} kinds of layers.`
        : `${report.rows.length} modules, ${report.parameters.toLocaleString("en")} numbers, ${report.bytes.toLocaleString("en")} bytes.`,
    taken: "Saved.",
    yes: "yes",
    model: "Layers with weights",
    modelTitles: ["layer", "shape", "operator", "adapted", "learns"],
    adapterTitles: ["module", "rank", "shape", "scaling"],
    as: { mlora: "As .mlora", peft: "As PEFT", gguf: "As GGUF", onnx_adapter: "As .onnx_adapter" },
  },
  theme: "Light or dark",
  language: "Deutsch",
};

export type Text = typeof en;
