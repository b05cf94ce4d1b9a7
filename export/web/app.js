// The page: a pad to draw on, a photo if you like, and what the network says while you draw.

import { load, recognize } from "./lenet.js";
import { WORDS } from "./words.js";

const $ = (id) => document.getElementById(id);
const pad = $("pad");
const pen = pad.getContext("2d", { willReadFrequently: true });
const PEN = 0.08; // of the pad's side: as thick as MNIST's pens
const STEP = 0.02; // what one arrow key moves the pen

const strokes = []; // each a list of [x, y] from 0 to 1
let photo = null; // or a canvas with the photo in its own proportions
let cursor = null; // where the keyboard's pen is: { x, y, down }
let session = null;
let result = null;
let notice = null; // or [word, values]

// --- language ----------------------------------------------------------------------------

let language = navigator.languages.some((tag) => tag.startsWith("zh")) ? "zh" : "en";

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

function paint() {
  const side = pad.width;
  pad.classList.toggle("photo", Boolean(photo));
  pen.clearRect(0, 0, side, side);
  if (photo) {
    const scale = side / Math.max(photo.width, photo.height);
    const [width, height] = [photo.width * scale, photo.height * scale];
    pen.drawImage(photo, (side - width) / 2, (side - height) / 2, width, height);
    return;
  }
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, side, side);
  pen.strokeStyle = "#111";
  pen.lineWidth = PEN * side;
  pen.lineCap = pen.lineJoin = "round";
  for (const stroke of strokes) {
    pen.beginPath();
    pen.moveTo(stroke[0][0] * side, stroke[0][1] * side);
    for (const [x, y] of stroke) pen.lineTo(x * side, y * side);
    pen.stroke();
  }
}

/** What the network gets: the photo as it is, or the drawing. */
function picture() {
  if (photo) return photo.getContext("2d").getImageData(0, 0, photo.width, photo.height);
  return pen.getImageData(0, 0, pad.width, pad.height);
}

function drawn() {
  paint();
  ask();
  $("cursor").hidden = !cursor;
  if (!cursor) return;
  $("cursor").classList.toggle("down", cursor.down);
  $("cursor").style.left = `${100 * cursor.x}%`;
  $("cursor").style.top = `${100 * cursor.y}%`;
}

function begin(point) {
  photo = null;
  notice = null;
  strokes.push([point]);
  drawn();
}

function undo() {
  photo ? (photo = null) : strokes.pop();
  if (cursor) cursor.down = false;
  drawn();
}

function clear() {
  strokes.length = 0;
  photo = notice = null;
  if (cursor) cursor.down = false;
  drawn();
}

const at = (event) => {
  const box = pad.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
};
pad.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  event.preventDefault();
  pad.setPointerCapture(event.pointerId);
  cursor = null;
  begin(at(event));
});
pad.addEventListener("pointermove", (event) => {
  if (!pad.hasPointerCapture(event.pointerId)) return;
  const events = event.getCoalescedEvents?.() ?? [];
  strokes.at(-1).push(...(events.length ? events : [event]).map(at));
  drawn();
});

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
pad.addEventListener("keydown", (event) => {
  const move = ARROWS[event.key];
  if (!move && event.key !== " ") return;
  event.preventDefault();
  cursor ??= { x: 0.5, y: 0.5, down: false };
  if (event.key === " ") {
    cursor.down = !cursor.down;
    cursor.down ? begin([cursor.x, cursor.y]) : drawn();
    return;
  }
  const within = (value) => Math.min(1 - PEN / 2, Math.max(PEN / 2, value));
  cursor.x = within(cursor.x + STEP * move[0]);
  cursor.y = within(cursor.y + STEP * move[1]);
  if (cursor.down) strokes.at(-1).push([cursor.x, cursor.y]);
  drawn();
});
pad.addEventListener("blur", () => {
  cursor = null;
  drawn();
});
document.addEventListener("keydown", (event) => {
  const key = event.key.toLowerCase();
  const command = event.ctrlKey || event.metaKey;
  if (key === "z" && command) event.preventDefault();
  if (key === "u" && !command || key === "z" && command) undo();
  if (key === "c" && !command && !event.altKey) clear();
});
$("undo").addEventListener("click", undo);
$("clear").addEventListener("click", clear);

async function open(file) {
  if (!file) return;
  try {
    const image = await createImageBitmap(file); // upright, as its EXIF data say
    const scale = Math.min(1, 1024 / Math.max(image.width, image.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(image.width * scale));
    canvas.height = Math.max(1, Math.round(image.height * scale));
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "#fff"; // under what is transparent
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    strokes.length = 0;
    photo = canvas;
    notice = null;
  } catch {
    notice = ["notPicture", { file: file.name || "?" }];
  }
  drawn();
  show();
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
  if (!session) return;
  again = true;
  if (asking) return;
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
  const ink = result?.hasInk;
  const percent = (p) => (100 * p).toFixed(1);
  $("digit").textContent = ink ? result.label : "";
  $("answer").textContent = ink
    ? say("answer", { digit: result.label, percent: percent(result.probabilities[result.label]) })
    : session
      ? say("draw")
      : notice
        ? ""
        : say("waiting");
  [...$("bars").children].forEach((bar, digit) => {
    const p = ink ? result.probabilities[digit] : 0;
    bar.classList.toggle("best", Boolean(ink) && digit === result.label);
    bar.children[1].style.setProperty("--p", p);
    bar.children[2].textContent = ink ? `${percent(p)} %` : "";
  });
  // the network sees light ink on black; people are used to the opposite
  tiles($("saw"), 1, 28, 1, (i) => {
    const grey = 255 - (result?.normalized[i] ?? 0);
    return [grey, grey, grey];
  });
  const paper = dark.matches ? [44, 44, 40] : [240, 238, 232];
  const maps = [[$("conv1"), 20, 12, 10], [$("conv2"), 50, 4, narrow.matches ? 10 : 25]];
  maps.forEach(([canvas, count, side, columns], layer) => {
    const values = ink ? result.maps[layer].values : null;
    tiles(canvas, count, side, columns, (i) => colour(values ? values[i] : 0, paper));
  });
}

const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 44rem)");
dark.addEventListener("change", () => show());
narrow.addEventListener("change", () => show());

/** From -1 (blue) over 0 (paper) to 1 (orange): colours that colour-blind people tell apart. */
function colour(value, paper) {
  const end = value < 0 ? [0, 114, 178] : [230, 110, 20];
  return end.map((channel, i) => paper[i] + (channel - paper[i]) * Math.abs(value));
}

/** Square maps side by side, `columns` in a row, a pixel apart. */
function tiles(canvas, count, side, columns, colourOf) {
  const rows = Math.ceil(count / columns);
  const [width, height] = [columns * (side + 1) - 1, rows * (side + 1) - 1];
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let map = 0; map < count; map++) {
    const left = (map % columns) * (side + 1);
    const top = Math.floor(map / columns) * (side + 1);
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        const rgb = colourOf((map * side + y) * side + x);
        image.data.set([...rgb, 255], 4 * ((top + y) * width + left + x));
      }
    }
  }
  context.putImageData(image, 0, 0);
}

// --- start -------------------------------------------------------------------------------

for (let digit = 0; digit < 10; digit++) {
  const bar = document.createElement("li");
  bar.innerHTML = `<span>${digit}</span><i></i><span></span>`;
  $("bars").append(bar);
}
for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => speak(button.dataset.language));
}
paint();
speak(language);
try {
  session = await load();
  await ask();
  if (isSecureContext) await navigator.serviceWorker.register("worker.js");
} catch (error) {
  notice = [error.name in WORDS.en ? error.name : "damaged"];
}
show();
document.body.dataset.ready = "true";
