// Packs ONNX Runtime for the page, into dist/. `npm run build` runs it.

import { readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const runtime = "node_modules/onnxruntime-web";
const { version } = JSON.parse(readFileSync(`${runtime}/package.json`));
const wasm = readFileSync(`${runtime}/dist/ort-wasm-simd-threaded.wasm`);
writeFileSync(`dist/ort-${version}.wasm.gz`, gzipSync(wasm, { level: 9 }));
