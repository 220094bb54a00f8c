import { type Body, corrupt, type ExampleFormat } from "microlora/parts";
import { OnnxError } from "../base/errors.js";
import type { HostTensor } from "../base/host-tensor.js";
import type { LossMakers } from "../loss/makers.js";
import type { LoraModel } from "../model/lora-model.js";
import type { GradientRequest } from "../model/options.js";
import { readValue, writeValue } from "./saved-values.js";

/** What an object costs beside its tensors. */
const OVERHEAD = 128;

/** How requests are kept and held back. A loss is a value: its labels and vectors are shared. */
export const REQUESTS = {
  copyOf: (request: GradientRequest): GradientRequest => ({
    ...request,
    feeds: Object.fromEntries(Object.entries(request.feeds).map(([name, tensor]) => [name, copyOf(tensor)])),
  }),
  bytesOf: ({ feeds }: GradientRequest): number =>
    Object.values(feeds).reduce((sum, { data }) => sum + (ArrayBuffer.isView(data) ? data.byteLength : 0), OVERHEAD),
  isConstant: () => true,
  isReusable: () => true,
};

function copyOf({ type, dims, data }: HostTensor): HostTensor {
  return { type, dims: [...dims], data: (data as Uint8Array).slice() };
}

/** How the requests that a `ModelLearner` keeps are written. @param makers of the losses that are read */
export function requestsOf(makers: LossMakers): ExampleFormat<GradientRequest> {
  return {
    header: (request) => writeValue(request, "request").json as object,
    blocks: (request) => writeValue(request, "request").blocks,
    read: (fields, where, body) => readRequest(fields, where, body, makers),
  };
}

function readRequest(fields: object, where: string, body: Body, makers: LossMakers): GradientRequest {
  const { feeds, loss, ...rest } = readValue(fields, where, body, makers) as Partial<GradientRequest>;
  const others = Object.keys(rest).filter((key) => key !== "microBatch");
  if (typeof feeds !== "object" || feeds === null || others.length > 0) corrupt(where, "is no request");
  if (typeof loss?.build !== "function") corrupt(`${where}.loss`, "is no loss");
  return { feeds, loss, ...rest };
}

/** Refuses a request of a file that the model would refuse. @throws MicroLoraError `corrupt-checkpoint`, OnnxError */
export async function checkKept(request: GradientRequest, model: LoraModel): Promise<void> {
  try {
    await model.check(request);
  } catch (error) {
    if (error instanceof OnnxError) throw error;
    corrupt("request", `cannot be run: ${(error as Error).message}`);
  }
}
