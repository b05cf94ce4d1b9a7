// digit.onnx in a browser: everything that knows about the network, and nothing about the page.

import * as ort from "./ort.wasm.min.mjs";

ort.env.wasm.numThreads = 1; // more would need a server that sends isolation headers
ort.env.wasm.wasmPaths = new URL("./", import.meta.url).href; // this folder, no other host

/** The values behind the two convolutional layers, which the page draws. */
const MAPS = ["relu1", "relu2"];

/**
 * A model that also gives some of its inner values.
 *
 * An ONNX file is one protobuf message, and of two messages written one after the other a
 * reader makes one, joining what is repeated. So it is enough to write before it a message
 * with nothing in it but further outputs: ModelProto { graph (7): { output (12): { name (1),
 * type (2): { tensor_type (1): { elem_type (1): 1, float } } } } }. Before it, not after: what
 * follows a file that was cut short would be taken for its end.
 */
export function withOutputs(model, names) {
  const field = (number, bytes) => [(number << 3) | 2, bytes.length, ...bytes]; // under 128 bytes
  const float = field(2, field(1, [(1 << 3) | 0, 1]));
  const added = names.flatMap((name) => {
    const output = field(12, [...field(1, [...new TextEncoder().encode(name)]), ...float]);
    return field(7, output);
  });
  const longer = new Uint8Array(model.length + added.length);
  longer.set(added);
  longer.set(model, added.length);
  return longer;
}

/** Fetch the model and make it ready. Rejects with an Error named missing, damaged or engine. */
export async function load(url = "digit.onnx") {
  const fail = (name, cause) => Promise.reject(Object.assign(new Error(name, { cause }), { name }));
  let model;
  try {
    const response = await fetch(url);
    if (!response.ok) throw new Error(response.status);
    model = new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    return fail("missing", cause);
  }
  try {
    return await ort.InferenceSession.create(withOutputs(model, MAPS));
  } catch (cause) {
    return fail(/no available backend/.test(cause.message) ? "engine" : "damaged", cause);
  }
}

/**
 * Read the digit in a picture.
 *
 * `picture` is an ImageData of any size, without transparency. Resolves to { hasInk, label,
 * probabilities: 10 numbers, normalized: 28 x 28 bytes, maps: per layer { count, side, values } }.
 */
export async function recognize(session, picture) {
  const { width, height, data } = picture;
  const grey = new Uint8Array(width * height);
  for (let i = 0; i < grey.length; i++) {
    grey[i] = 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2] + 0.5;
  }
  const image = new ort.Tensor("uint8", grey, [1, height, width]);
  const out = await session.run({ image });
  return {
    hasInk: Boolean(out.has_ink.data[0]),
    label: Number(out.label.data[0]),
    probabilities: [...out.probabilities.data],
    normalized: out.normalized.data,
    maps: MAPS.map((name) => {
      const [, count, side] = out[name].dims;
      return { count, side, values: out[name].data };
    }),
  };
}
