// The page: the reader, and what both layers make of the digit while one draws.

import { cellAt, lookInto, placeOf } from "./closer.js";
import "./digit-reader.js";
import { fill, preferredLanguage, sheet, translate, undoes } from "./pad.js";
import { WORDS } from "./words.js";

const $ = (id) => document.getElementById(id);
const reader = $("reader");

// --- language ----------------------------------------------------------------------------

let language;

function speak(next) {
  language = next;
  translate(document.documentElement, language, WORDS[language]);
  reader.lang = language;
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === language));
  }
  show();
}

// --- what the person gives, beside the pad -----------------------------------------------

document.addEventListener("keydown", (event) => {
  if (!undoes(event)) return;
  event.preventDefault();
  reader.undo();
});
document.addEventListener("paste", (event) => reader.open(event.clipboardData.files[0]));
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", kind === "dragover");
    if (kind === "drop") reader.open(event.dataTransfer.files[0]);
  });
}

// --- the maps ----------------------------------------------------------------------------

// between a phone and a wide screen the maps lie below, and have the width to themselves
const between = matchMedia("(min-width: 44rem) and (max-width: 68rem)");
const columns = () => (between.matches ? [10, 25] : [5, 10]);

function show() {
  // each layer in its own measure: its largest value has the full color
  const shade = (values) => {
    const most = values ? largest(values) : 1;
    return (i) => ramp[Math.round(values ? (255 * values[i]) / most : 0)];
  };
  const [first, second] = columns();
  tiles($("conv1"), 20, 12, first, shade(reader.answer?.maps[0].values));
  tiles($("conv2"), 50, 4, second, shade(reader.answer?.maps[1].values));
  showCloser();
}

const largest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);

/** Square maps side by side, `columns` in a row, a pixel apart. A color is one uint32. */
function tiles(canvas, count, side, columns, colorOf) {
  const rows = count / columns;
  const [width, height] = [columns * (side + 1) - 1, rows * (side + 1) - 1];
  const context = sheet(width, height, canvas);
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < count * side * side; i++) {
    const map = Math.floor(i / side / side);
    const x = (map % columns) * (side + 1) + (i % side);
    const y = Math.floor(map / columns) * (side + 1) + (Math.floor(i / side) % side);
    pixels[y * width + x] = colorOf(i);
  }
  context.putImageData(image, 0, 0);
}

const GREYS = Uint32Array.from({ length: 256 }, (_, grey) => 0xff000000 | (grey * 0x010101));

/** 256 colors from 0 to an end, in steps that look even: the browser mixes them in OKLab. */
function newRamp(end) {
  const style = getComputedStyle(document.documentElement);
  const [zero, far] = ["zero", end].map((name) => style.getPropertyValue(`--${name}`));
  const context = sheet(256, 1);
  for (let i = 0; i < 256; i++) {
    context.fillStyle = `color-mix(in oklab, ${far} ${(100 * i) / 255}%, ${zero})`;
    context.fillRect(i, 0, 1, 1);
  }
  return new Uint32Array(context.getImageData(0, 0, 256, 1).data.buffer);
}

let ramp, below; // from 0 up, and down
function mix() {
  [ramp, below] = [newRamp("high"), newRamp("low")];
  show();
}

// --- a closer look at a cell of the first layer ------------------------------------------

let cell = null; // { map, row, column } that is looked at

function look(next) {
  cell = next;
  showCloser();
}

function showCloser() {
  const { answer } = reader;
  const hidden = !cell || !answer;
  for (const part of ["closer", "spot"]) $(part).hidden = hidden;
  if (hidden) return;
  const { width, height } = $("conv1");
  const { x, y } = placeOf(cell, columns()[0]);
  Object.assign($("spot").style, {
    left: `${(100 * x) / width}%`,
    top: `${(100 * y) / height}%`,
    width: `${100 / width}%`,
  });
  const { top, left, pixels, kernel, sum, bias, value } = lookInto(answer, cell.map, cell.row, cell.column);
  tiles($("seen"), 1, 28, 1, (i) => GREYS[answer.normalized[i]]);
  const context = $("seen").getContext("2d");
  context.strokeStyle = getComputedStyle($("seen")).getPropertyValue("--high");
  context.strokeRect(left - 0.5, top - 0.5, 6, 6);
  tiles($("window"), 1, 5, 1, (i) => GREYS[Math.round(256 * pixels[i])]);
  const most = largest(answer.kernels.subarray(25 * cell.map, 25 * cell.map + 25));
  const color = (weight) => (weight < 0 ? below : ramp)[Math.round((255 * Math.abs(weight)) / most)];
  tiles($("kernel"), 1, 5, 1, (i) => color(kernel[i]));
  const signed = (number) => number.toFixed(2).replace(/^-(?=.*[1-9])/, "\u2212").replace("-", "");
  $("sum").textContent = signed(sum);
  const values = { sum: signed(sum), bias: signed(bias), value: signed(value) };
  const text = fill(WORDS[language][value > 0 ? "closer" : "closerBelow"], values);
  const said = document.querySelector("#closer p");
  if (said.textContent !== text) said.textContent = text;
}

const conv1 = $("conv1");
for (const kind of ["pointermove", "pointerdown"]) {
  conv1.addEventListener(kind, ({ clientX, clientY }) => {
    const box = conv1.getBoundingClientRect();
    const x = ((clientX - box.left) / box.width) * conv1.width;
    const y = ((clientY - box.top) / box.height) * conv1.height;
    look(cellAt(Math.min(x, conv1.width - 1), Math.min(y, conv1.height - 1), columns()[0]));
  });
}
const leave = () => look(null);
conv1.addEventListener("pointerleave", ({ pointerType }) => pointerType === "mouse" && leave());
conv1.addEventListener("blur", leave);
conv1.addEventListener("focus", () => conv1.matches(":focus-visible") && look({ map: 0, row: 5, column: 5 }));
document.addEventListener("pointerdown", ({ target }) => target !== conv1 && leave());
conv1.addEventListener("keydown", (event) => {
  const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (event.key === "Escape") leave();
  if (!move || !cell || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const { x, y } = placeOf(cell, columns()[0]);
  const step = (at, by, length) => {
    const next = at + by * ((at + by) % 13 === 12 ? 2 : 1); // over the pixel between two maps
    return Math.min(length - 1, Math.max(0, next));
  };
  look(cellAt(step(x, move[0], conv1.width), step(y, move[1], conv1.height), columns()[0]));
});

// --- start -------------------------------------------------------------------------------

$("unstarted").remove();
for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => speak(button.dataset.language));
}
mix();
speak(preferredLanguage());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", mix);
between.addEventListener("change", show);
reader.addEventListener("read", show);
const reads = await reader.ready;
// Offline is a gift of the worker; some browsers' private windows have none.
if (reads) navigator.serviceWorker?.register("worker.js").catch(() => {});
document.body.dataset.ready = "true";
