// The drawing pad and the answer beside it, for the page in export/web and the notebook's widget.

const PEN = 0.08; // of the pad's side: as thick as MNIST's pens
const STEP = 0.02; // what one arrow key moves the pen
const SIDE = 280; // of the drawing for the network, whatever the screen: one drawing, one answer
const PHOTO = 1024; // the longest side of a photo for the network
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// --- words -------------------------------------------------------------------------------

export const WORDS = {
  en: {
    pad: "Drawing pad. Arrow keys move the pen, the space bar puts it down or lifts it, U or Ctrl+Z undoes, C or Escape clears.",
    undo: "Undo",
    clear: "Clear",
    photo: "Open a photo",
    draw: "Draw a digit",
    answer: "It reads {digit}, {percent}\u00a0% sure.",
    probabilities: "How likely each digit is",
    saw: "What the network saw",
    notPicture: "{file} is not a picture that this browser can open.",
  },
  zh: {
    pad: "手写板。方向键移动画笔，空格键落笔或提笔，U 或 Ctrl+Z 撤销，C 或 Esc 清空。",
    undo: "撤销",
    clear: "清空",
    photo: "打开照片",
    draw: "请写一个数字",
    answer: "这是 {digit}，把握 {percent}%。",
    probabilities: "各个数字的概率",
    saw: "神经网络看到的",
    notPicture: "{file} 不是这个浏览器能打开的图片。",
  },
};

/** The first of the browser's languages that there are words in, or English. */
export function preferredLanguage() {
  return navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => tag in WORDS) ?? "en";
}

/** The sentence with each {name} in it replaced by values.name. */
export function fill(sentence, values = {}) {
  return sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Put words where data-word asks for an element's text and data-label for its accessible name. */
export function translate(root, language, words) {
  root.lang = language === "zh" ? "zh-Hans" : "en";
  for (const element of root.querySelectorAll("[data-word]")) {
    element.textContent = words[element.dataset.word];
  }
  for (const element of root.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", words[element.dataset.label]);
  }
}

// --- the pad -----------------------------------------------------------------------------

/** A context to draw on that is quick to read from. */
export function sheet(width, height, canvas = document.createElement("canvas")) {
  [canvas.width, canvas.height] = [width, height];
  return canvas.getContext("2d", { willReadFrequently: true });
}

/** Whether the key pressed is Ctrl+Z, or a Mac's Command+Z. */
export function undoes(event) {
  return (event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "z";
}

/** Strokes as ink, through the middles between their points, which rounds the corners. */
function write(context, strokes, ink) {
  const side = context.canvas.width;
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

/**
 * A pad to draw on or open a photo in, with mouse, pen, finger or keyboard.
 *
 * `root` holds a square <canvas tabindex="0"> in the colour of the ink, an <i> that shows where
 * the keyboard's pen is, buttons of the classes undo and clear, and an <input type="file">.
 * `changed` is called when there is something else to see, and when the pen goes down or up.
 */
export class Pad {
  strokes = []; // each a list of [x, y] from 0 to 1
  stroke = null; // the one being drawn
  photo = null; // or a context with a picture in its own proportions; then there are no strokes
  past = []; // for Undo, what there was before each stroke, photo and Clear: [strokes, photo]
  cursor = null; // where the keyboard's pen is: [x, y]
  refused = null; // the name of a file that was no picture, until there is something else to see

  constructor(root, changed) {
    this.canvas = root.querySelector("canvas");
    this.mark = root.querySelector("i");
    this.changed = changed;
    this.drawing = sheet(SIDE, SIDE);
    this.#followPointer();
    this.canvas.addEventListener("keydown", (event) => this.#penKey(event));
    root.addEventListener("keydown", (event) => this.#editKey(event));
    root.querySelector(".undo").addEventListener("click", () => this.undo());
    root.querySelector(".clear").addEventListener("click", () => this.clear());
    root.querySelector("input").addEventListener("change", (event) => {
      this.open(event.target.files[0]);
      event.target.value = ""; // so that the same file can be chosen again
    });
    new ResizeObserver(() => {
      const side = Math.round(this.canvas.clientWidth * devicePixelRatio) || 1;
      [this.canvas.width, this.canvas.height] = [side, side];
      this.paint();
    }).observe(this.canvas);
  }

  get blank() {
    return !this.photo && !this.strokes.length;
  }

  /** What the network gets, an ImageData: the photo as it is, or the drawing in black on white. */
  picture() {
    const context = this.photo ?? this.drawing;
    const { width, height } = context.canvas;
    if (!this.photo) {
      context.fillStyle = "#fff";
      context.fillRect(0, 0, width, height);
      write(context, this.strokes, "#000");
    }
    return context.getImageData(0, 0, width, height);
  }

  undo() {
    this.#put(...(this.past.pop() ?? [[], null]));
  }

  clear() {
    this.#instead(null);
  }

  /** Show a picture from elsewhere, a context; `changed` is not called, and Undo starts anew. */
  show(photo) {
    [this.strokes, this.photo, this.stroke, this.past, this.refused] = [[], photo, null, [], null];
    this.paint();
    this.#showCursor();
  }

  /** Open a picture's file as a photo; `refused` says if it is none. */
  async open(file) {
    if (!file) return;
    try {
      const image = await createImageBitmap(file); // upright, as its EXIF data say
      const scale = Math.min(1, PHOTO / Math.max(image.width, image.height));
      const [width, height] = [image.width, image.height].map((side) => Math.ceil(side * scale));
      const context = sheet(width, height);
      context.fillStyle = "#fff"; // under what is transparent
      context.fillRect(0, 0, width, height);
      context.imageSmoothingQuality = "high";
      context.drawImage(image, 0, 0, width, height);
      this.#instead(context);
    } catch {
      this.refused = file.name;
      this.changed();
    }
  }

  /** Show the ink, in the colour that the page's style gives it now, or the photo. */
  paint() {
    const side = this.canvas.width;
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, side, side);
    if (!this.photo) return write(context, this.strokes, getComputedStyle(this.canvas).color);
    const { canvas } = this.photo;
    const scale = side / Math.max(canvas.width, canvas.height);
    const [width, height] = [canvas.width * scale, canvas.height * scale];
    context.drawImage(canvas, (side - width) / 2, (side - height) / 2, width, height);
  }

  // what happens to the picture

  #put(strokes, photo, stroke = null) {
    [this.strokes, this.photo, this.stroke] = [strokes, photo, stroke];
    this.refused = null;
    this.#update();
  }

  #instead(photo) {
    if (!this.blank) this.past.push([this.strokes, this.photo]);
    this.#put([], photo);
  }

  #penDown(point) {
    this.past.push([this.strokes, this.photo]);
    const stroke = [point];
    this.#put([...this.strokes, stroke], null, stroke);
  }

  #penTo(...points) {
    this.stroke.push(...points);
    this.#update();
  }

  #penUp() {
    if (!this.stroke) return;
    this.stroke = null;
    this.#update();
  }

  #update() {
    this.paint();
    this.#showCursor();
    this.changed();
  }

  #showCursor() {
    this.mark.hidden = !this.cursor;
    if (!this.cursor) return;
    const [x, y] = this.cursor;
    this.mark.classList.toggle("down", Boolean(this.stroke));
    Object.assign(this.mark.style, { left: `${100 * x}%`, top: `${100 * y}%` });
  }

  // what the person does

  #followPointer() {
    const { canvas } = this;
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    };
    let pointer = null; // the one that draws: a palm beside the pen does not
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || pointer !== null) return;
      event.preventDefault();
      pointer = event.pointerId;
      canvas.focus({ preventScroll: true, focusVisible: false }); // for the keys, without a ring
      canvas.setPointerCapture(pointer);
      this.cursor = null;
      this.#penDown(at(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerId !== pointer || !this.stroke) return;
      const events = event.getCoalescedEvents?.() ?? [];
      this.#penTo(...(events.length ? events : [event]).map(at));
    });
    canvas.addEventListener("lostpointercapture", () => {
      pointer = null;
      this.#penUp();
    });
    canvas.addEventListener("focus", () => {
      if (canvas.matches(":focus-visible") && pointer === null) this.cursor = [0.5, 0.5]; // by Tab
      this.#showCursor();
    });
    canvas.addEventListener("blur", () => {
      this.cursor = null;
      this.#showCursor();
      this.#penUp();
    });
  }

  /** Arrow keys and the space bar, on the canvas. */
  #penKey(event) {
    const move = ARROWS[event.key];
    if ((!move && event.key !== " ") || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === " " && event.repeat) return; // held down, it is pressed once
    this.cursor ??= [0.5, 0.5];
    if (!move) return this.stroke ? this.#penUp() : this.#penDown(this.cursor);
    const inside = (value) => Math.min(1 - PEN / 2, Math.max(PEN / 2, value));
    this.cursor = this.cursor.map((was, i) => inside(was + STEP * move[i]));
    this.stroke ? this.#penTo(this.cursor) : this.#showCursor();
  }

  /** Undo and Clear. Letters act on the canvas only: elsewhere they may be typed, or spoken. */
  #editKey(event) {
    const alone = !(event.ctrlKey || event.metaKey || event.altKey);
    const letter = alone && event.target === this.canvas ? event.key.toLowerCase() : "";
    const clears = alone && ["Escape", "Delete", "Backspace"].includes(event.key);
    if (undoes(event) || letter === "u") this.undo();
    else if (clears || letter === "c") this.clear();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

// --- the answer --------------------------------------------------------------------------

const percent = (p) => (100 * p).toFixed(1);

/** "It reads 3, 98.7% sure.", in the language of the words. */
export function sentence(words, { label, probabilities }) {
  return fill(words.answer, { digit: label, percent: percent(probabilities[label]) });
}

/** An answer, shown in `root`: in its <output>, its aria-live sentence, and ten bars in its <ol>. */
export class Reading {
  constructor(root) {
    this.digit = root.querySelector("output");
    this.said = root.querySelector("[aria-live]");
    this.bars = Array.from({ length: 10 }, (_, digit) => {
      const bar = document.createElement("li");
      bar.innerHTML = `<span>${digit}</span><i></i><span></span>`;
      root.querySelector("ol").append(bar);
      return bar;
    });
  }

  /** While it is busy, because something is being drawn, it is not read aloud. */
  set busy(stroke) {
    this.said.setAttribute("aria-busy", String(Boolean(stroke)));
  }

  /** Show an answer, { label, probabilities }, or none, null; and say `text`. */
  show(answer, text) {
    this.digit.textContent = answer ? answer.label : "";
    // the same text, put there again, might be read aloud again
    if (this.said.textContent !== text) this.said.textContent = text;
    this.bars.forEach((bar, digit) => {
      const p = answer ? answer.probabilities[digit] : 0;
      bar.classList.toggle("best", digit === answer?.label);
      bar.children[1].style.setProperty("--p", p);
      bar.children[2].textContent = answer ? `${percent(p)}\u00a0%` : "";
    });
  }
}
