// digit.onnx in a browser: everything that knows about the network, and nothing about the page.

import * as ort from "./ort.wasm.bundle.min.mjs";

ort.env.wasm.numThreads = 1; // more would need a server that sends isolation headers

const MODEL = "digit.onnx";
// ONNX Runtime itself, compressed: a quarter of the download, from any server. Its version is in
// its name, so a copy never has to be asked for again.
const RUNTIME = `ort-${ort.env.versions.web}.wasm.gz`;

/** The values behind the two convolutional layers, which the page draws. */
const MAPS = ["relu1", "relu2"];
/** The first layer's 20 kernels and biases. */
const FIRST = ["conv1/kernel", "conv1/bias"];

/**
 * A model that also gives some of its inner values, or of its weights.
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

const fail = (name, cause) => Promise.reject(Object.assign(new Error(name, { cause }), { name }));

/** Ask for a file that lies beside this module. */
async function asked(file, failure) {
  try {
    const response = await fetch(new URL(file, import.meta.url));
    if (!response.ok) throw new Error(response.status);
    return response;
  } catch (cause) {
    return fail(failure, cause);
  }
}

/** How many bytes will come, or NaN where the server does not say, or means something else. */
const sizeOf = ({ headers }) =>
  headers.has("content-encoding") ? NaN : Number(headers.get("content-length") ?? NaN);

/** The bytes of a response; `came` hears of each piece how many it has. */
async function bytesOf(response, failure, came) {
  const counted = new TransformStream({
    transform(piece, through) {
      came(piece.length);
      through.enqueue(piece);
    },
  });
  try {
    return new Uint8Array(await new Response(response.body.pipeThrough(counted)).arrayBuffer());
  } catch (cause) {
    return fail(failure, cause);
  }
}

/** Unpacked, unless a server that meant well has let the browser do it. */
async function gunzip(bytes) {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * Fetch the network and what runs it, and make them ready.
 *
 * `progress` hears which part of the bytes has come, from 0 to 1, or NaN where nobody knows.
 * Rejects with an Error named missing, damaged or engine.
 */
export async function load(progress = () => {}) {
  const wanted = [[MODEL, "missing"]];
  if (!ort.env.wasm.wasmBinary) wanted.push([RUNTIME, "engine"]);
  const responses = await Promise.all(wanted.map(([file, failure]) => asked(file, failure)));
  const total = responses.map(sizeOf).reduce((sum, size) => sum + size);
  let come = 0;
  const came = (n) => progress((come += n) / total);
  const [model, runtime] = await Promise.all(
    responses.map((response, i) => bytesOf(response, wanted[i][1], came)),
  );
  try {
    if (runtime) ort.env.wasm.wasmBinary = await gunzip(runtime);
  } catch (cause) {
    return fail("engine", cause);
  }
  try {
    return await ort.InferenceSession.create(withOutputs(model, [...MAPS, ...FIRST]));
  } catch (cause) {
    return fail(/no available backend/.test(cause.message) ? "engine" : "damaged", cause);
  }
}

let last = Promise.resolve(); // the runtime takes one picture at a time

/**
 * Read the digit in a picture.
 *
 * `picture` is an ImageData of any size, without transparency. Resolves to { hasInk, isDigit, label,
 * probabilities: 10 numbers, normalized: 28 x 28 bytes, maps: per layer { count, side, values },
 * kernels: 20 x 5 x 5 numbers, biases: 20 }.
 */
export function recognize(session, picture) {
  const answer = last.then(() => read(session, picture));
  last = answer.catch(() => {});
  return answer;
}

async function read(session, picture) {
  const { width, height, data } = picture;
  const grey = new Uint8Array(width * height);
  for (let i = 0; i < grey.length; i++) {
    grey[i] = 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2] + 0.5;
  }
  const image = new ort.Tensor("uint8", grey, [1, height, width]);
  const out = await session.run({ image });
  const [kernels, biases] = FIRST.map((name) => out[name].data);
  return {
    hasInk: Boolean(out.has_ink.data[0]),
    isDigit: Boolean(out.is_digit.data[0]),
    label: Number(out.label.data[0]),
    probabilities: [...out.probabilities.data],
    normalized: out.normalized.data,
    maps: MAPS.map((name) => {
      const [, count, side] = out[name].dims;
      return { count, side, values: out[name].data };
    }),
    kernels,
    biases,
  };
}
