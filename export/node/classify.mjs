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
const LONGEST_SIDE = 4096; // what digit.onnx is made for
const LIMITS = { maxMemoryUsageInMB: 1024 }; // enough for the 50 million pixels of a phone

/** A picture's red, green, blue and alpha bytes, whatever it was packed in. */
function decode(bytes) {
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return jpeg.decode(bytes, LIMITS);
  return PNG.sync.read(bytes);
}

/** How the camera was held, 1 to 8: the EXIF tag 0x0112. 1, upright, where it is not said. */
function orientation(exif) {
  if (!exif) return 1;
  const tiff = new DataView(exif.buffer, exif.byteOffset + 1, exif.length - 1); // after a 0
  const little = tiff.getUint16(0) === 0x4949;
  const first = tiff.getUint32(4, little);
  for (let i = 0; i < tiff.getUint16(first, little); i++) {
    const entry = first + 2 + 12 * i;
    if (tiff.getUint16(entry, little) === 0x0112) return tiff.getUint16(entry + 8, little);
  }
  return 1;
}

/** As a person sees it, upright, on white paper, in grey: what `image` of digit.onnx takes. */
function grey({ width, height, data, exifBuffer }) {
  const turn = orientation(exifBuffer);
  const onItsSide = turn >= 5;
  const step = Math.ceil(Math.max(width, height) / LONGEST_SIDE); // every pixel, or every other …
  const columns = Math.floor((onItsSide ? height : width) / step) || 1;
  const rows = Math.floor((onItsSide ? width : height) / step) || 1;
  const pixels = new Uint8Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let [x, y] = onItsSide ? [row * step, column * step] : [column * step, row * step];
      if ([2, 3, 7, 8].includes(turn)) x = width - 1 - x;
      if ([3, 4, 6, 7].includes(turn)) y = height - 1 - y;
      const i = 4 * (y * width + x);
      const seen = 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
      pixels[row * columns + column] = Math.round(255 + (seen - 255) * (data[i + 3] / 255));
    }
  }
  return new ort.Tensor("uint8", pixels, [1, rows, columns]);
}

const WHY = { ENOENT: "no such file", EISDIR: "it is a folder", EACCES: "permission denied" };

const files = process.argv.slice(2);
if (files.length === 0) {
  console.error("Usage: node classify.mjs FILE...");
  process.exit(2);
}
const session = await ort.InferenceSession.create(await readFile(MODEL));
for (const file of files) {
  let image;
  try {
    image = grey(decode(await readFile(file)));
  } catch (error) {
    const why = WHY[error.code] ??
      (/limit exceeded/.test(error.message)
        ? "it is too large"
        : "it is no PNG or JPEG picture, or a damaged one");
    console.error(`${file} cannot be read: ${why}.`);
    process.exitCode = 1;
    continue;
  }
  const { label, probabilities, has_ink } = await session.run({ image });
  const digit = label.data[0]; // a BigInt: ONNX counts in int64
  const sure = probabilities.data[Number(digit)].toFixed(3);
  console.log(`${file}\t${has_ink.data[0] ? `${digit} ${sure}` : "blank"}`);
}
