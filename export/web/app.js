// The page: a pad to draw on, a photo if you like, and what the network says while you draw.

import { load, recognize } from "./lenet.js";
import { Pad, Reading, fill, preferredLanguage, sentence, sheet, translate, undoes } from "./pad.js";
import { WORDS } from "./words.js";

const $ = (id) => document.getElementById(id);
const reading = new Reading(document.querySelector(".read"));
const pad = new Pad(document.querySelector(".draw"), () => {
  reading.busy = pad.stroke;
  ask();
});

let session = null;
let result = null;
let failure = null; // or the word for what is wrong with the network

// --- language ----------------------------------------------------------------------------

let language = preferredLanguage();

const say = (word, values) => fill(WORDS[language][word], values);

function speak(next) {
  language = next;
  translate(document.documentElement, language, WORDS[language]);
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === language));
  }
  show();
}

// --- what the person gives, beside the pad -----------------------------------------------

document.addEventListener("keydown", (event) => {
  if (!undoes(event)) return;
  event.preventDefault();
  pad.undo();
});
document.addEventListener("paste", (event) => pad.open(event.clipboardData.files[0]));
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", kind === "dragover");
    if (kind === "drop") pad.open(event.dataTransfer.files[0]);
  });
}

// --- what the network says ---------------------------------------------------------------

let asking = false;
let again = false;

/** One question at a time; what is drawn meanwhile is asked when the answer is there. */
async function ask() {
  if (!session) return show();
  again = true;
  if (asking) return;
  asking = true;
  while (again) {
    again = false;
    result = await recognize(session, pad.picture());
    show();
    await new Promise(requestAnimationFrame);
  }
  asking = false;
}

function show() {
  const refused = pad.refused !== null && say("notPicture", { file: pad.refused });
  const notice = refused || (failure && say(failure));
  $("notice").hidden = !notice;
  $("notice").textContent = notice || "";
  const read = result?.hasInk ? result : null;
  const invitation = session ? say(pad.photo ? "blank" : "draw") : failure ? "" : say("waiting");
  reading.show(read, read ? sentence(WORDS[language], read) : invitation);
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
  const context = sheet(width, height, canvas);
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
  const context = sheet(256, 1);
  for (let i = 0; i < 256; i++) {
    context.fillStyle = `color-mix(in oklab, ${high} ${(100 * i) / 255}%, ${zero})`;
    context.fillRect(i, 0, 1, 1);
  }
  return new Uint32Array(context.getImageData(0, 0, 256, 1).data.buffer);
}

let ramp = newRamp();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  ramp = newRamp();
  pad.paint();
  show();
});
// between a phone and a wide screen the maps lie below, and have the width to themselves
const between = matchMedia("(min-width: 44rem) and (max-width: 68rem)");
between.addEventListener("change", show);

// --- start -------------------------------------------------------------------------------

$("unstarted").remove();
for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => speak(button.dataset.language));
}
speak(language);
try {
  session = await load();
  await ask();
} catch (error) {
  failure = error.name in WORDS.en ? error.name : "damaged";
}
show();
// Offline is a gift of the worker; some browsers' private windows have none.
if (session) navigator.serviceWorker?.register("worker.js").catch(() => {});
document.body.dataset.ready = "true";
