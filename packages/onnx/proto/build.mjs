// Makes src/graph/serde/onnx.generated.ts from onnx.proto: the types of its messages, and a table of their fields for codec.ts.
import { readFileSync, writeFileSync } from "node:fs";

const source = readFileSync(new URL("onnx.proto", import.meta.url), "utf8");
const words = source.replace(/\/\/.*$/gm, "").match(/"[^"]*"|[\w.]+|[{}=;[\],]/g);
const messages = new Map();
const enums = new Map();
let at = 0;

const SCALARS = {
  string: "string",
  bytes: "Uint8Array",
  float: "number",
  double: "number",
  int32: "number",
  int64: "bigint",
  uint64: "bigint",
};

function skipStatement() {
  while (words[at] !== ";") at++;
  at++;
}

function readEnum(scope) {
  const name = [...scope, words[at++]].join("_");
  const values = [];
  for (at++; words[at] !== "}"; ) {
    if (words[at + 1] !== "=") skipStatement();
    else {
      values.push([words[at], Number(words[at + 2])]);
      at += 3;
      skipStatement();
    }
  }
  at++;
  enums.set(name, values);
}

function readMessage(scope) {
  const path = [...scope, words[at++]];
  const fields = [];
  messages.set(path.join("_"), fields);
  readFields(path, fields, undefined);
}

/** @param label of fields that carry none, those of a oneof: they may be absent */
function readFields(path, fields, label) {
  for (at++; words[at] !== "}"; ) {
    const word = words[at++];
    if (word === ";") continue;
    if (word === "message") readMessage(path);
    else if (word === "enum") readEnum(path);
    else if (word === "reserved") skipStatement();
    else if (word === "oneof") {
      at++;
      readFields(path, fields, "oneof");
    } else {
      const [kind, type] = label === undefined ? [word, words[at++]] : [label, word];
      fields.push({ name: words[at], type, number: Number(words[at + 2]), kind, scope: path });
      at += 3;
      skipStatement();
    }
  }
  at++;
}

while (at < words.length) {
  const word = words[at++];
  if (word === "message") readMessage([]);
  else if (word === "enum") readEnum([]);
  else if (word !== ";") skipStatement();
}

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());

/** The full name of a message or enum, as it is looked up from inside another. */
function resolved({ type, scope }) {
  for (let depth = scope.length; depth >= 0; depth--) {
    const name = [...scope.slice(0, depth), type].join("_");
    if (messages.has(name) || enums.has(name)) return name;
  }
  throw new Error(`no ${type}`);
}

/** Messages that are reached from a model, without documentation, training and devices. */
const LEFT_OUT =
  /^(docString|trainingInfo|deviceConfigurations|configuration|segment|quantizationAnnotation|denotation|modelVersion|valueInfo)$/;
const isKept = (message, { name }) =>
  !(LEFT_OUT.test(camel(name)) && !(message === "GraphProto" && name === "value_info"));
const reached = new Set();
function reach(name) {
  if (reached.has(name)) return;
  reached.add(name);
  for (const field of messages.get(name)) {
    if (!isKept(name, field) || Object.hasOwn(SCALARS, field.type)) continue;
    const type = resolved(field);
    if (messages.has(type)) reach(type);
  }
}
reach("ModelProto");

function typeOf(field) {
  if (Object.hasOwn(SCALARS, field.type)) return SCALARS[field.type];
  const type = resolved(field);
  return enums.has(type) ? "number" : type;
}

const isMessage = (field) => !Object.hasOwn(SCALARS, field.type) && messages.has(resolved(field));

function member(field) {
  const type = typeOf(field);
  if (field.kind === "repeated") return `  ${camel(field.name)}: ${type}[];`;
  const isOpen = field.kind === "oneof" || isMessage(field);
  return isOpen ? `  ${camel(field.name)}: ${type} | undefined;` : `  ${camel(field.name)}: ${type};`;
}

function row(field) {
  const type = Object.hasOwn(SCALARS, field.type) ? field.type : enums.has(resolved(field)) ? "enum" : resolved(field);
  const kind = field.kind === "repeated" ? ', "repeated"' : field.kind === "oneof" ? ', "oneof"' : "";
  return `    [${field.number}, "${camel(field.name)}", "${type}"${kind}],`;
}

const inOrder = (fields) => fields.toSorted((a, b) => a.number - b.number);
const kept = [...reached].map((name) => [name, inOrder(messages.get(name).filter((field) => isKept(name, field)))]);
const interfaces = kept.map(([name, fields]) => `export interface ${name} {\n${fields.map(member).join("\n")}\n}`);
const table = kept.map(([name, fields]) => `  ${name}: [\n${fields.map(row).join("\n")}\n  ],`);
const constants = ["AttributeProto_AttributeType", "TensorProto_DataType", "TensorProto_DataLocation"].map((name) => {
  const values = enums.get(name).map(([key, value]) => `  ${key}: ${value},`);
  return `export const ${name} = {\n${values.join("\n")}\n} as const;`;
});
const map = `export interface Messages {\n${kept.map(([name]) => `  ${name}: ${name};`).join("\n")}\n}`;
const head = `// Written by proto/build.mjs from proto/onnx.proto, ONNX 1.23.2 (github.com/onnx/onnx), Apache-2.0. Do not edit.\n`;
const fields = `/** Number, name and type of each field; a message's type is its name. */\nexport const FIELDS = {\n${table.join("\n")}\n} as const;`;
const text = [head, ...constants, ...interfaces, map, fields].join("\n\n");
writeFileSync(
  new URL("../src/graph/serde/onnx.generated.ts", import.meta.url),
  `${text.replace("edit.\n\n\n", "edit.\n\n")}\n`,
);
