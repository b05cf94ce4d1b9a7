// Read the digit in pictures: digit.onnx and onnxruntime, with PNG and JPEG decoders.
//
//     node classify.mjs FILE...

import { readFile } from "node:fs/promises";
import jpeg from "jpeg-js";
import { PNG } from "pngjs";

// onnxruntime would report its use to its makers, and crash over a very long command line.
process.env.ORT_DISABLE_TELEMETRY ??= "1";
const { default: ort } = await import("onnxruntime-node");

const MODEL = new URL("../digit.onnx", import.meta.url);

/** A picture's red, green, blue and alpha bytes, whatever it was packed in. */
function decode(bytes) {
  if (bytes.subarray(1, 4).toString() === "PNG") return PNG.sync.read(bytes);
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return jpeg.decode(bytes);
  throw new Error("not a PNG or JPEG picture");
}

/** As a person sees it, on white paper, in grey: what `image` of digit.onnx takes. */
function grey({ width, height, data }) {
  const pixels = new Uint8Array(width * height);
  for (let i = 0; i < pixels.length; i++) {
    const seen = 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2];
    pixels[i] = Math.round(255 + (seen - 255) * (data[4 * i + 3] / 255));
  }
  return new ort.Tensor("uint8", pixels, [1, height, width]);
}

const files = process.argv.slice(2);
if (files.length === 0) {
  console.error("Usage: node classify.mjs FILE...");
  process.exit(2);
}
const session = await ort.InferenceSession.create(await readFile(MODEL));
for (const file of files) {
  try {
    const image = grey(decode(await readFile(file)));
    const { label, probabilities, has_ink } = await session.run({ image });
    const digit = label.data[0]; // a BigInt: ONNX counts in int64
    const sure = probabilities.data[Number(digit)].toFixed(3);
    console.log(`${file}\t${has_ink.data[0] ? `${digit} ${sure}` : "blank"}`);
  } catch (error) {
    console.error(`${file}: ${error.code === "ENOENT" ? "no such file" : error.message}`);
    process.exitCode = 1;
  }
}
