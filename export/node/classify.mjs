// Read the digit in pictures: digit.onnx and onnxruntime, with PNG and JPEG decoders.
//
//     node classify.mjs FILE...

import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { inflateSync } from "node:zlib";
import jpeg from "jpeg-js";
import { PNG } from "pngjs";

// onnxruntime would report its use to its makers, and crash over a very long command line.
process.env.ORT_DISABLE_TELEMETRY ??= "1";
const { default: ort } = await import("onnxruntime-node");

const MODEL = new URL("../digit.onnx", import.meta.url);
const LONGEST_SIDE = 4096; // what digit.onnx is made for
const MOST_BYTES = 100_000_000;
const MOST_PIXELS = 40_000_000; // of a PNG: under 1.2 GB with all the copies pngjs makes
const MOST_ROWS = 65_535; // each is an object to pngjs
const JPEG_LIMITS = { maxResolutionInMP: 50, maxMemoryUsageInMB: 1100 }; // a phone's 50 million
const MOST_SCANS = 1000; // a progressive JPEG has a dozen

const tooLarge = () => new Error("limit exceeded"); // as jpeg-js says

/** A file's bytes, never more than one over the limit: a pipe has no size to ask for first. */
async function read(file) {
  const pieces = [];
  for await (const piece of createReadStream(file, { end: MOST_BYTES })) pieces.push(piece);
  const bytes = Buffer.concat(pieces);
  if (bytes.length > MOST_BYTES) throw tooLarge();
  return bytes;
}

/** A picture's red, green, blue and alpha bytes, whatever it was packed in. */
function decode(bytes) {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) {
    checkPng(bytes);
    return PNG.sync.read(bytes);
  }
  // jpeg-js looks at the size first, but goes over the whole picture for each scan of 50 bytes
  const pieces = bytes.toString("latin1").split("\xff\xda", MOST_SCANS + 2);
  if (pieces.length - 1 > MOST_SCANS) throw new Error("too many scans");
  return jpeg.decode(bytes, JPEG_LIMITS);
}

/** Throw if a PNG is too large, or not what its header says; pngjs would unpack it first. */
function checkPng(bytes) {
  const packed = [];
  for (let at = 8; at + 8 <= bytes.length; at += 12 + bytes.readUInt32BE(at)) {
    const kind = bytes.toString("latin1", at + 4, at + 8);
    // the header comes first and once; pngjs would believe a second one
    if ((kind === "IHDR") !== (at === 8)) throw new Error(`${kind} at ${at}`);
    if (kind === "IDAT") packed.push(bytes.subarray(at + 8, at + 8 + bytes.readUInt32BE(at)));
  }
  const [width, height] = [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
  if (width * height > MOST_PIXELS || height > MOST_ROWS) throw tooLarge();
  // Interlaced pictures are the ones that pngjs unpacks without a limit. They hold at most 8 bytes
  // a pixel, and in each of 7 passes 2 more a row.
  const most = (8 * width + 14) * height;
  if (bytes[28]) inflateSync(Buffer.concat(packed), { maxOutputLength: most });
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
  if (width * height === 0) throw new Error("no pixels");
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
    image = grey(decode(await read(file)));
  } catch (error) {
    const why = WHY[error.code] ??
      (/limit exceeded/.test(error.message)
        ? "it is too large: scale it down to 40 million pixels, 65,535 rows and 100 MB at most"
        : "it is no PNG or JPEG picture, or a damaged one");
    console.error(`${file} cannot be read: ${why}.`);
    process.exitCode = 1;
    continue;
  }
  const { label, probabilities, has_ink, is_digit } = await session.run({ image });
  const digit = label.data[0]; // a BigInt: ONNX counts in int64
  const sure = probabilities.data[Number(digit)].toFixed(3);
  const guess = `${is_digit.data[0] ? "" : "? "}${digit} ${sure}`;
  console.log(`${file}\t${has_ink.data[0] ? guess : "blank"}`);
}
