// The drawing pad and the answer beside it, for the page in export/web and the notebook's widget.

const PEN = 0.08; // of the pad's side: as thick as MNIST's pens
const STEP = 0.02; // what one arrow key moves the pen
const SIDE = 280; // of the drawing for the network, whatever the screen: one drawing, one answer
const BOX = 0.7; // of that side: the longer side of the strokes in it, however small they are drawn
const PHOTO = 1024; // the longest side of a photo for the network
const CROP = 0.03; // of the pad's side: a smaller box on a photo is a slip of the hand
const PHOTOS_KEPT = 3; // for Undo, at up to 4 MB each
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// --- words -------------------------------------------------------------------------------

export const WORDS = {
  en: {
    pad: "Drawing pad. Arrow keys move the pen, the space bar puts it down or lifts it, U or Ctrl+Z undoes, C or Escape clears. On a photo the pen draws a box to cut out.",
    undo: "Undo",
    clear: "Clear",
    photo: "Open a photo",
    draw: "Draw a digit",
    answer: "It reads {digit}, {over}{percent}\u00a0% sure.",
    over: "over ",
    unlike: "Not like any digit. Its best guess is {digit}, {over}{percent}\u00a0% sure.",
    choose: "It refuses most letters and scribbles, but an O passes for a 0.",
    several: "Several digits? It reads one at a time; taken as one, it reads {digit}.",
    blank: "It cannot tell the ink from the paper. Drag a box around the digit alone, or take the photo again with a darker pen.",
    probabilities: "How likely each digit is",
    saw: "What the network saw",
    sawNote: "Found, scaled to 20 pixels and centered by its mass, as MNIST's makers did.",
    notPicture: "{file} is not a picture that this browser can open.",
  },
  zh: {
    pad: "手写板。方向键移动画笔，空格键落笔或提笔，U 或 Ctrl+Z 撤销，C 或 Esc 清空。在照片上，画笔拖出的框就是要裁下的部分。",
    undo: "撤销",
    clear: "清空",
    photo: "打开照片",
    draw: "请写一个数字",
    answer: "这是 {digit}，把握{over} {percent}%。",
    over: "超过",
    unlike: "不像任何数字。最接近的是 {digit}，把握{over} {percent}%。",
    choose: "多数字母和涂鸦它会拒绝，但 O 会被当成 0。",
    several: "是几个数字吗？它一次只认一个；当成一个来认是 {digit}。",
    blank: "分不清笔迹和纸面。请在照片上拖出一个框，只框住数字；或者换深色的笔重拍一张。",
    probabilities: "各个数字的概率",
    saw: "神经网络看到的",
    sawNote: "找到笔迹，缩放到 20 像素，再按重心居中，做法与 MNIST 相同。",
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

// --- the markup --------------------------------------------------------------------------

/** What Pad and Reading, below, expect in their root; pad.css styles it. */
export const MARKUP = `
  <div class="draw" part="draw">
    <div class="board">
      <canvas class="pad" tabindex="0" role="application" data-label="pad"></canvas>
      <i class="cursor" hidden></i>
    </div>
    <div class="buttons">
      <button type="button" class="undo" data-word="undo"></button>
      <button type="button" class="clear" data-word="clear"></button>
      <label class="button"><span data-word="photo"></span><input type="file" accept="image/*"></label>
    </div>
  </div>
  <div class="read" part="read">
    <output class="digit" aria-hidden="true"></output>
    <p class="answer" aria-live="polite"></p>
    <ol class="bars" data-label="probabilities" start="0"></ol>
    <p class="choose" data-word="choose"></p>
    <figure>
      <canvas class="saw" width="28" height="28" role="img" data-label="saw"></canvas>
      <figcaption><b data-word="saw"></b> <span data-word="sawNote"></span></figcaption>
    </figure>
  </div>`;

// --- the pad -----------------------------------------------------------------------------

/** A context to draw on that is quick to read from. */
export function sheet(width, height, canvas = document.createElement("canvas")) {
  [canvas.width, canvas.height] = [width, height];
  return canvas.getContext("2d", { willReadFrequently: true });
}

/** Grey bytes, an array or a DataView of them, onto a canvas. */
export function putGrey(context, bytes) {
  const { width, height } = context.canvas;
  const grey = ArrayBuffer.isView(bytes)
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes);
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < pixels.length; i++) pixels[i] = 0xff000000 | (grey[i] * 0x010101);
  context.putImageData(image, 0, 0);
}

/** A pixel's edge, rounded, from 0 to `length`. */
const inside = (at, length) => Math.min(length, Math.max(0, Math.round(at)));

/** Whether the key pressed is Ctrl+Z, or a Mac's Command+Z. */
export function undoes(event) {
  return (event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "z";
}

/** The smallest and the largest x, or y, of points. */
function range(points, axis) {
  return points.reduce(
    ([low, high], point) => [Math.min(low, point[axis]), Math.max(high, point[axis])],
    [Infinity, -Infinity],
  );
}

/**
 * Strokes enlarged or reduced to one size, and in the middle: the longer side of the box around
 * their points becomes BOX. So the pen is as thick beside a small digit as beside a large one. What
 * is smaller than the pen counts as large as the pen: a dot stays a dot.
 */
function placed(strokes) {
  const [xs, ys] = [0, 1].map((axis) => range(strokes.flat(), axis));
  const scale = BOX / Math.max(xs[1] - xs[0], ys[1] - ys[0], PEN);
  const place = (value, [low, high]) => 0.5 + (value - (low + high) / 2) * scale;
  return strokes.map((points) => points.map(([x, y]) => [place(x, xs), place(y, ys)]));
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
 * A pad to draw on or open a photo in, with mouse, pen, finger or keyboard. On a photo the pen
 * draws a box, and what is in it becomes the photo.
 *
 * `root` holds a square <canvas tabindex="0"> in the color of the ink, an <i> that shows where
 * the keyboard's pen is, buttons of the classes undo and clear, and an <input type="file">.
 * `changed` is called when there is something else to see, and when the pen goes down or up.
 */
export class Pad {
  strokes = []; // each a list of [x, y] from 0 to 1
  stroke = null; // the one being drawn; on a photo, two corners of a box
  photo = null; // or a context with a picture in its own proportions; then there are no strokes
  past = []; // for Undo, what there was before each stroke, photo, box and Clear: [strokes, photo]
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

  /**
   * What the network gets, an ImageData: the photo as it is, or the drawing, SIDE by SIDE in black
   * on white, its strokes placed and then inked.
   */
  picture() {
    const context = this.photo ?? this.drawing;
    const { width, height } = context.canvas;
    if (!this.photo) {
      context.fillStyle = "#fff";
      context.fillRect(0, 0, width, height);
      if (this.strokes.length) write(context, placed(this.strokes), "#000");
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

  /** Show the ink, in the color that the page's style gives it now, or the photo. */
  paint() {
    const side = this.canvas.width;
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, side, side);
    if (!this.photo) return write(context, this.strokes, getComputedStyle(this.canvas).color);
    const { canvas } = this.photo;
    const { left, top, scale } = this.#frame(side);
    context.drawImage(canvas, left, top, canvas.width * scale, canvas.height * scale);
    if (this.stroke) this.#paintBox(context, side);
  }

  /** The box being drawn: what is outside of it is veiled, and its edge can be seen on anything. */
  #paintBox(context, side) {
    const [[left, right], [top, bottom]] = this.#box().map((ends) => ends.map((at) => at * side));
    const outside = new Path2D();
    outside.rect(0, 0, side, side);
    outside.rect(left, top, right - left, bottom - top);
    context.fillStyle = "rgb(0 0 0 / 45%)";
    context.fill(outside, "evenodd");
    for (const [width, color] of [[4, "#000"], [2, "#fff"]]) {
      [context.lineWidth, context.strokeStyle] = [width * devicePixelRatio, color];
      context.strokeRect(left, top, right - left, bottom - top);
    }
  }

  /** Where the photo lies on a pad of this side, and how large one of its pixels is there. */
  #frame(side) {
    const { width, height } = this.photo.canvas;
    const scale = side / Math.max(width, height);
    return { left: (side - width * scale) / 2, top: (side - height * scale) / 2, scale };
  }

  /** From where to where the box goes, across and down. */
  #box() {
    return [0, 1].map((axis) => range(this.stroke, axis));
  }

  // what happens to the picture

  #put(strokes, photo, stroke = null) {
    [this.strokes, this.photo, this.stroke] = [strokes, photo, stroke];
    this.refused = null;
    this.#update();
  }

  /** What is there now, for Undo; of many photos only the latest. */
  #remember() {
    this.past.push([this.strokes, this.photo]);
    const photos = new Set(this.past.map(([, photo]) => photo).filter(Boolean));
    if (photos.size <= PHOTOS_KEPT) return;
    const [oldest] = photos;
    this.past = this.past.slice(1 + this.past.findLastIndex(([, photo]) => photo === oldest));
  }

  #instead(photo) {
    if (!this.blank) this.#remember();
    this.#put([], photo);
  }

  #penDown(point) {
    const stroke = [point];
    if (this.photo) return this.#drawBox(stroke);
    this.#remember();
    this.#put([...this.strokes, stroke], null, stroke);
  }

  #penTo(...points) {
    if (this.photo) return this.#drawBox([this.stroke[0], points.at(-1)]);
    this.stroke.push(...points);
    this.#update();
  }

  /** A box changes nothing before it is drawn. */
  #drawBox(corners) {
    this.stroke = corners;
    this.#redraw();
  }

  #penUp() {
    if (!this.stroke) return;
    const box = this.photo && this.#box();
    this.stroke = null;
    if (!box) this.#update();
    else if (box.every(([low, high]) => high - low > CROP)) this.#crop(box);
    else this.#redraw();
  }

  /** What of the photo is in the box becomes the photo. */
  #crop([[left, right], [top, bottom]]) {
    const { canvas } = this.photo;
    const frame = this.#frame(1);
    const [x, endX] = [left, right].map((at) => inside((at - frame.left) / frame.scale, canvas.width));
    const [y, endY] = [top, bottom].map((at) => inside((at - frame.top) / frame.scale, canvas.height));
    if (endX - x < 1 || endY - y < 1) return this.#redraw(); // beside the photo
    const cut = sheet(endX - x, endY - y);
    cut.drawImage(canvas, -x, -y);
    this.#instead(cut);
  }

  #update() {
    this.#redraw();
    this.changed();
  }

  #redraw() {
    this.paint();
    this.#showCursor();
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
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      return [x / box.width, y / box.height].map((at) => Math.min(1, Math.max(0, at)));
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
    const edge = this.photo ? 0 : PEN / 2;
    this.cursor = this.cursor.map((was, i) =>
      Math.min(1 - edge, Math.max(edge, was + STEP * move[i])),
    );
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

/** A probability in percent, and the word before it where that says less: no network is that sure. */
function percent(p, over) {
  return p < 0.9995 ? ["", (100 * p).toFixed(1)] : [over, "99.9"];
}

/** "It reads 3, 98.7 % sure.", or that it is not like any digit, in the language of the words. */
export function sentence(words, { label, isDigit, probabilities }) {
  const [over, number] = percent(probabilities[label], words.over);
  return fill(isDigit ? words.answer : words.unlike, { digit: label, over, percent: number });
}

/** What stands in large beside the pad: the digit, or a question mark where it is not like any. */
function signOf(answer) {
  if (!answer) return "";
  return answer.isDigit ? answer.label : "?";
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

  /** Show an answer, { label, isDigit, probabilities }, or null; say `text`, and in large `sign`. */
  show(answer, text, sign = signOf(answer)) {
    this.digit.textContent = sign;
    // the same text, put there again, might be read aloud again
    if (this.said.textContent !== text) this.said.textContent = text;
    this.bars.forEach((bar, digit) => {
      const p = answer ? answer.probabilities[digit] : 0;
      bar.classList.toggle("best", digit === sign);
      bar.children[1].style.setProperty("--p", p);
      bar.children[2].textContent = answer ? `${percent(p, ">").join("")}\u00a0%` : "";
    });
  }
}
