// What the tensors of a model say, in onnxruntime's JavaScript builds: for runtimes.py.
//   node runtimes.mjs FOLDER MODEL < inputs    FOLDER has onnxruntime-node installed

export async function answers(ort, model, inputs, options) {
  const session = await ort.InferenceSession.create(model, options);
  const found = [];
  for (const { type, data, dims } of inputs) {
    const values = type === "uint8" ? Uint8Array.from(data) : Float32Array.from(data);
    const outputs = await session.run({ [session.inputNames[0]]: new ort.Tensor(type, values, dims) });
    const plain = Object.entries(outputs).map(([name, { data, dims }]) =>
      [name, { data: Array.from(data, Number), dims }]);
    found.push(Object.fromEntries(plain));
  }
  return found;
}

if (globalThis.process) {
  const [{ createRequire }, { readFileSync }] = await Promise.all([import("module"), import("fs")]);
  const [folder, model] = process.argv.slice(2);
  const ort = createRequire(`${folder}/`)("onnxruntime-node");
  const inputs = JSON.parse(readFileSync(0, "utf8"));
  process.stdout.write(JSON.stringify(await answers(ort, model, inputs)));
}
