// What `require` gives without Jest.
const { loadEmbedder } = require("@microlora/embed");
const inline = require("@microlora/embed/inline-128");
const formats = require("@microlora/formats");
const { readAdapter } = require("@microlora/formats/node");
const { openModel } = require("@microlora/onnx");
const onnx = require("@microlora/onnx/node");
const { MicroLora } = require("microlora");
const { save } = require("microlora/node");

const all = [
  loadEmbedder,
  inline.loadEmbedder,
  formats.decodePeft,
  readAdapter,
  openModel,
  onnx.openModel,
  MicroLora,
  save,
];
console.log(all.every((each) => typeof each === "function") ? "required" : all.map((each) => typeof each).join());
