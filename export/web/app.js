// The page: a pad to draw on, a photo if you like, and what the network says while you draw.

import { load, recognize } from "./lenet.js";
import { WORDS } from "./words.js";

const $ = (id) => document.getElementById(id);
const pad = $("pad");
const pen = pad.getContext("2d");
const PEN = 0.08; // of the pad's side: as thick as MNIST's pens
const STEP = 0.02; // what one arrow key moves the pen
const SIDE = 280; // of the drawing for the network, whatever the screen: one drawing, one answer

const strokes = []; // each a list of [x, y] from 0 to 1
let stroke = null; // the one being drawn
let photo = null; // or a canvas with the photo in its own proportions
let before = null; // what Clear or a photo took away, for Undo: [strokes, photo]
let cursor = null; // where the keyboard's pen is: [x, y]
let session = null;
let result = null;
let notice = null; // or [word, values]

// --- language ----------------------------------------------------------------------------

const wished = navigator.languages.map((tag) => tag.slice(0, 2));
let language = wished.find((tag) => tag in WORDS) ?? "en";

function say(word, values = {}) {
  return WORDS[language][word].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

function speak(next) {
  language = next;
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
  for (const element of document.querySelectorAll("[data-word]")) {
    element.textContent = say(element.dataset.word);
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", say(element.dataset.label));
  }
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === language));
  }
  show();
}

// --- what the person gives ---------------------------------------------------------------

/** A context to draw on that is quick to read from. */
function sheet(canvas, width, height) {
  [canvas.width, canvas.height] = [width, height];
  return canvas.getContext("2d", { willReadFrequently: true });
}

/** The strokes as ink, through the middles between their points, which rounds the corners. */
function write(context, side, ink) {
  context.strokeStyle = context.fillStyle = ink;
  context.lineWidth = PEN * side;
  context.lineCap = context.lineJoin = "round";
  for (const points of strokes) {
    const [startX, startY] = points[0].map((value) => value * side);
    context.beginPath();
    context.arc(startX, startY, (PEN * side) / 2, 0, 2 * Math.PI);
    context.fill(); // a tap leaves a dot
    context.beginPath();
    context.moveTo(startX, startY);
    points.forEach(([x, y], i) => {
      const [nextX, nextY] = points[i + 1] ?? [x, y];
      const middle = [((x + nextX) / 2) * side, ((y + nextY) / 2) * side];
      context.quadraticCurveTo(x * side, y * side, ...middle);
    });
    context.stroke();
  }
}

function paint() {
  const side = pad.width;
  pen.clearRect(0, 0, side, side);
  if (!photo) return write(pen, side, getComputedStyle(pad).color);
  const scale = side / Math.max(photo.width, photo.height);
  const [width, height] = [photo.width * scale, photo.height * scale];
  pen.drawImage(photo, (side - width) / 2, (side - height) / 2, width, height);
}

const drawing = sheet(document.createElement("canvas"), SIDE, SIDE);

/** What the network gets: the photo as it is, or the drawing in black on white. */
function picture() {
  if (photo) return photo.getContext("2d").getImageData(0, 0, photo.width, photo.height);
  drawing.fillStyle = "#fff";
  drawing.fillRect(0, 0, SIDE, SIDE);
  write(drawing, SIDE, "#000");
  return drawing.getImageData(0, 0, SIDE, SIDE);
}

function changed() {
  paint();
  ask();
  $("answer").setAttribute("aria-busy", String(Boolean(stroke))); // read aloud with the pen up
  $("cursor").hidden = !cursor;
  if (!cursor) return;
  $("cursor").classList.toggle("down", Boolean(stroke));
  $("cursor").style.left = `${100 * cursor[0]}%`;
  $("cursor").style.top = `${100 * cursor[1]}%`;
}

function penDown(point) {
  if (photo) before = [[], photo];
  photo = notice = null;
  stroke = [point];
  strokes.push(stroke);
  changed();
}

function penUp() {
  stroke = null;
  changed();
}

function undo() {
  notice = null;
  if (!photo && strokes.length) {
    strokes.pop();
  } else if (before) {
    strokes.push(...before[0]);
    photo = before[1];
    before = null;
  } else {
    photo = null;
  }
  penUp();
}

/** Another picture instead of what there is, which Undo brings back. */
function instead(picture) {
  if (photo || strokes.length) before = [[...strokes], photo];
  strokes.length = 0;
  photo = picture;
  notice = null;
  penUp();
}

const clear = () => instead(null);

const at = (event) => {
  const box = pad.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
};
let pointer = null; // the one that draws: a palm beside the pen does not
pad.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || pointer !== null) return;
  event.preventDefault();
  pointer = event.pointerId;
  pad.setPointerCapture(pointer);
  cursor = null;
  penDown(at(event));
});
pad.addEventListener("pointermove", (event) => {
  if (event.pointerId !== pointer || !stroke) return;
  const events = event.getCoalescedEvents?.() ?? [];
  stroke.push(...(events.length ? events : [event]).map(at));
  changed();
});
pad.addEventListener("lostpointercapture", () => {
  pointer = null;
  penUp();
});

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
pad.addEventListener("keydown", (event) => {
  const move = ARROWS[event.key];
  if (!move && event.key !== " ") return;
  event.preventDefault();
  cursor ??= [0.5, 0.5];
  if (!move) return stroke ? penUp() : penDown(cursor);
  cursor = cursor.map((was, i) => Math.min(1 - PEN / 2, Math.max(PEN / 2, was + STEP * move[i])));
  stroke?.push(cursor);
  changed();
});
pad.addEventListener("focus", () => {
  if (pad.matches(":focus-visible")) cursor = [0.5, 0.5]; // reached by the Tab key
  changed();
});
pad.addEventListener("blur", () => {
  cursor = null;
  penUp();
});
document.addEventListener("keydown", (event) => {
  const key = event.key.toLowerCase();
  const command = event.ctrlKey || event.metaKey;
  if (event.altKey) return;
  if (command && key === "z") event.preventDefault();
  if (command ? key === "z" : key === "u") undo();
  if (!command && key === "c") clear();
});
$("undo").addEventListener("click", undo);
$("clear").addEventListener("click", clear);

async function open(file) {
  if (!file) return;
  try {
    const image = await createImageBitmap(file); // upright, as its EXIF data say
    const scale = Math.min(1, 1024 / Math.max(image.width, image.height));
    const [width, height] = [image.width, image.height].map((side) => Math.ceil(side * scale));
    const canvas = document.createElement("canvas");
    const context = sheet(canvas, width, height);
    context.fillStyle = "#fff"; // under what is transparent
    context.fillRect(0, 0, width, height);
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0, width, height);
    instead(canvas);
  } catch {
    notice = ["notPicture", { file: file.name }];
    show();
  }
}
$("photo").addEventListener("change", (event) => {
  open(event.target.files[0]);
  event.target.value = ""; // so that the same file can be chosen again
});
document.addEventListener("paste", (event) => open(event.clipboardData.files[0]));
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", kind === "dragover");
    if (kind === "drop") open(event.dataTransfer.files[0]);
  });
}

// --- what the network says ---------------------------------------------------------------

let asking = false;
let again = false;

/** One question at a time; what is drawn meanwhile is asked when the answer is there. */
async function ask() {
  again = true;
  if (asking || !session) return;
  asking = true;
  while (again) {
    again = false;
    result = await recognize(session, picture());
    show();
    await new Promise(requestAnimationFrame);
  }
  asking = false;
}

function show() {
  $("notice").hidden = !notice;
  $("notice").textContent = notice ? say(...notice) : "";
  const read = result?.hasInk ? result : null;
  const percent = (p) => (100 * p).toFixed(1);
  $("digit").textContent = read ? read.label : "";
  $("answer").textContent = read
    ? say("answer", { digit: read.label, percent: percent(read.probabilities[read.label]) })
    : session ? say(photo ? "blank" : "draw") : notice ? "" : say("waiting");
  [...$("bars").children].forEach((bar, digit) => {
    const p = read ? read.probabilities[digit] : 0;
    bar.classList.toggle("best", digit === read?.label);
    bar.children[1].style.setProperty("--p", p);
    bar.children[2].textContent = read ? `${percent(p)}\u00a0%` : "";
  });
  tiles($("saw"), 1, 28, 1, (i) => GREYS[result?.normalized[i] ?? 0]);
  // each layer in its own measure: its largest value has the full colour
  const shade = (values) => {
    const most = values ? values.reduce((most, value) => Math.max(most, value), 1e-9) : 1;
    return (i) => ramp[Math.round(values ? (255 * values[i]) / most : 0)];
  };
  tiles($("conv1"), 20, 12, between.matches ? 10 : 5, shade(read?.maps[0].values));
  tiles($("conv2"), 50, 4, between.matches ? 25 : 10, shade(read?.maps[1].values));
}

/** Square maps side by side, `columns` in a row, a pixel apart. A colour is one uint32. */
function tiles(canvas, count, side, columns, colourOf) {
  const rows = count / columns;
  const [width, height] = [columns * (side + 1) - 1, rows * (side + 1) - 1];
  const context = sheet(canvas, width, height);
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < count * side * side; i++) {
    const map = Math.floor(i / side / side);
    const x = (map % columns) * (side + 1) + (i % side);
    const y = Math.floor(map / columns) * (side + 1) + (Math.floor(i / side) % side);
    pixels[y * width + x] = colourOf(i);
  }
  context.putImageData(image, 0, 0);
}

const GREYS = Uint32Array.from({ length: 256 }, (_, grey) => 0xff000000 | (grey * 0x010101));

/** 256 colours from 0 to 1, in steps that look even: the browser mixes them in OKLab. */
function newRamp() {
  const style = getComputedStyle(document.documentElement);
  const [zero, high] = ["zero", "high"].map((end) => style.getPropertyValue(`--${end}`));
  const context = sheet(document.createElement("canvas"), 256, 1);
  for (let i = 0; i < 256; i++) {
    context.fillStyle = `color-mix(in oklab, ${high} ${(100 * i) / 255}%, ${zero})`;
    context.fillRect(i, 0, 1, 1);
  }
  return new Uint32Array(context.getImageData(0, 0, 256, 1).data.buffer);
}

let ramp = newRamp();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  ramp = newRamp();
  paint();
  show();
});
// between a phone and a wide screen the maps lie below, and have the width to themselves
const between = matchMedia("(min-width: 44rem) and (max-width: 68rem)");
between.addEventListener("change", show);

// --- start -------------------------------------------------------------------------------

$("unstarted").remove();
for (let digit = 0; digit < 10; digit++) {
  const bar = document.createElement("li");
  bar.innerHTML = `<span>${digit}</span><i></i><span></span>`;
  $("bars").append(bar);
}
for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => speak(button.dataset.language));
}
speak(language);
new ResizeObserver(() => {
  pad.width = pad.height = Math.round(pad.clientWidth * devicePixelRatio);
  paint();
}).observe(pad);
try {
  session = await load();
  await ask();
} catch (error) {
  notice = [error.name in WORDS.en ? error.name : "damaged"];
}
show();
// Offline is a gift of the worker; some browsers' private windows have none.
if (session) navigator.serviceWorker?.register("worker.js").catch(() => {});
document.body.dataset.ready = "true";
