import * as chat from "@microlora/chat";
import * as embed from "@microlora/embed";
import * as formats from "@microlora/formats";
import * as onnx from "@microlora/onnx";
import * as server from "@microlora/server";
import * as store from "@microlora/store";
import { MicroLoraError } from "microlora";
import { expect, test } from "vitest";
import { refusalOf } from "./refusal.js";

test.each(Object.entries({ chat, embed, formats, onnx, server, store }))(
  "every error of @microlora/%s is a MicroLoraError, and told without a stack",
  (_, exported) => {
    const classes = Object.entries(exported).filter(([name]) => name.endsWith("Error"));
    expect(classes.length).toBeGreaterThan(0);
    for (const [, Class] of classes) {
      const error = new (Class as typeof MicroLoraError)("some-code", "there", "is wrong", "Do this");
      expect(error).toBeInstanceOf(MicroLoraError);
      expect(refusalOf(error)).toMatchObject({ code: "some-code", message: "there: is wrong. Do this." });
    }
  },
);
