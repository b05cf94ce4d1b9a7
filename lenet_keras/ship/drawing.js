// The drawing pad in a notebook: strokes in, a grey picture out to Python, its answer shown.
// The same pad and pen as the page in export/web.

const PEN = 0.08; // of the pad's side: as thick as MNIST's pens
const STEP = 0.02; // what one arrow key moves the pen
const SIDE = 280; // of the drawing for the network, whatever the screen
const PHOTO = 1024; // the longest side of a photo for the network
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const WORDS = {
  en: {
    pad: "Drawing pad. Arrow keys move the pen, the space bar puts it down or lifts it, Ctrl+Z undoes, Escape clears.",
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
    pad: "手写板。方向键移动画笔，空格键落笔或提笔，Ctrl+Z 撤销，Esc 清空。",
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
const wished = navigator.languages.map((tag) => tag.slice(0, 2));
const language = wished.find((tag) => tag in WORDS) ?? "en";

function say(word, values = {}) {
  return WORDS[language][word].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// JupyterLab leaves alone the keys of what has data-lm-suppress-shortcuts.
const HTML = `
  <div class="draw">
    <div class="board">
      <canvas class="pad" tabindex="0" role="application"></canvas>
      <i class="cursor" hidden></i>
    </div>
    <div class="buttons">
      <button type="button" class="undo"></button>
      <button type="button" class="clear"></button>
      <label class="button"><span></span><input type="file" accept="image/*"></label>
    </div>
  </div>
  <div class="read">
    <output class="digit" aria-hidden="true"></output>
    <p class="answer" aria-live="polite"></p>
    <ol class="bars" start="0"></ol>
    <figure>
      <canvas class="saw" width="28" height="28" role="img"></canvas>
      <figcaption></figcaption>
    </figure>
  </div>`;

function sheet(width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  return canvas.getContext("2d", { willReadFrequently: true });
}

/** The grey of a canvas, as lenet-keras's Python and its page count it. */
function greyOf(context) {
  const { width, height } = context.canvas;
  const { data } = context.getImageData(0, 0, width, height);
  const grey = new Uint8Array(width * height);
  for (let i = 0; i < grey.length; i++) {
    grey[i] = 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2] + 0.5;
  }
  return { height, width, grey };
}

/** Grey bytes, an array or a DataView of them, onto a canvas. */
function putGrey(context, bytes) {
  const { width, height } = context.canvas;
  const grey = ArrayBuffer.isView(bytes)
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes);
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < pixels.length; i++) pixels[i] = 0xff000000 | (grey[i] * 0x010101);
  context.putImageData(image, 0, 0);
}

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "lenet-pad";
  root.lang = language === "zh" ? "zh-Hans" : "en";
  root.dataset.lmSuppressShortcuts = "true";
  root.innerHTML = HTML;
  el.append(root);
  const $ = (selector) => root.querySelector(selector);
  const pad = $(".pad");
  const pen = pad.getContext("2d");
  pad.setAttribute("aria-label", say("pad"));
  $(".undo").textContent = say("undo");
  $(".clear").textContent = say("clear");
  $("label span").textContent = say("photo");
  $(".bars").setAttribute("aria-label", say("probabilities"));
  $(".saw").setAttribute("aria-label", say("saw"));
  $("figcaption").textContent = say("saw");
  for (let digit = 0; digit < 10; digit++) {
    const bar = document.createElement("li");
    bar.innerHTML = `<span>${digit}</span><i></i><span></span>`;
    $(".bars").append(bar);
  }

  const strokes = []; // each a list of [x, y] from 0 to 1
  let stroke = null; // the one being drawn
  let photo = null; // or a context with a picture in its own proportions
  let cursor = null; // where the keyboard's pen is: [x, y]
  let notice = ""; // what went wrong with a photo

  // --- the picture -----------------------------------------------------------------------

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
    const { canvas } = photo;
    const scale = side / Math.max(canvas.width, canvas.height);
    const [width, height] = [canvas.width * scale, canvas.height * scale];
    pen.drawImage(canvas, (side - width) / 2, (side - height) / 2, width, height);
  }

  const drawing = sheet(SIDE, SIDE);
  let sent = null; // what this pad last gave to Python, to know it when it comes back
  let frame = 0;

  /** Give Python the picture, at most once a frame; busy, the notebook sends the latest only. */
  function ask() {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      if (!photo) {
        drawing.fillStyle = "#fff";
        drawing.fillRect(0, 0, SIDE, SIDE);
        write(drawing, SIDE, "#000");
      }
      sent = greyOf(photo ?? drawing);
      model.set("picture", sent);
      model.save_changes();
    });
  }

  function changed() {
    paint();
    ask();
    show();
    moved();
  }

  function moved() {
    $(".answer").setAttribute("aria-busy", String(Boolean(stroke))); // read aloud with the pen up
    $(".cursor").hidden = !cursor;
    if (!cursor) return;
    $(".cursor").classList.toggle("down", Boolean(stroke));
    $(".cursor").style.left = `${100 * cursor[0]}%`;
    $(".cursor").style.top = `${100 * cursor[1]}%`;
  }

  // --- what the person does --------------------------------------------------------------

  function penDown(point) {
    photo = null;
    notice = "";
    stroke = [point];
    strokes.push(stroke);
    changed();
  }

  function penUp() {
    if (stroke) {
      stroke = null;
      changed();
    }
  }

  function undo() {
    stroke = null;
    if (photo) photo = null;
    else strokes.pop();
    notice = "";
    changed();
  }

  function clear() {
    stroke = photo = null;
    strokes.length = 0;
    notice = "";
    changed();
  }

  const at = (event) => {
    const box = pad.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  let pointer = null; // the one that draws: a palm beside the pen does not
  pad.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || pointer !== null) return;
    event.preventDefault();
    pad.focus({ preventScroll: true });
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

  root.addEventListener("keydown", (event) => {
    const undoes = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z";
    const alone = !(event.ctrlKey || event.metaKey || event.altKey);
    const clears = alone && ["Escape", "Delete", "Backspace"].includes(event.key);
    if (!undoes && !clears) return;
    event.preventDefault();
    event.stopPropagation();
    undoes ? undo() : clear();
  });
  pad.addEventListener("keydown", (event) => {
    const move = ARROWS[event.key];
    if ((!move && event.key !== " ") || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    cursor ??= [0.5, 0.5];
    if (!move) {
      if (event.repeat) return; // held down, it is pressed once
      stroke ? penUp() : penDown(cursor);
      return moved();
    }
    cursor = cursor.map((was, i) => Math.min(1 - PEN / 2, Math.max(PEN / 2, was + STEP * move[i])));
    if (!stroke) return moved();
    stroke.push(cursor);
    changed();
  });
  pad.addEventListener("focus", () => {
    if (pad.matches(":focus-visible") && pointer === null) cursor ??= [0.5, 0.5]; // by the Tab key
    moved();
  });
  pad.addEventListener("blur", () => {
    cursor = null;
    penUp();
    moved();
  });
  $(".undo").addEventListener("click", undo);
  $(".clear").addEventListener("click", clear);

  $("input").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    event.target.value = ""; // so that the same file can be chosen again
    if (!file) return;
    try {
      const image = await createImageBitmap(file); // upright, as its EXIF data say
      const scale = Math.min(1, PHOTO / Math.max(image.width, image.height));
      const context = sheet(...[image.width, image.height].map((n) => Math.ceil(n * scale)));
      context.fillStyle = "#fff"; // under what is transparent
      context.fillRect(0, 0, context.canvas.width, context.canvas.height);
      context.imageSmoothingQuality = "high";
      context.drawImage(image, 0, 0, context.canvas.width, context.canvas.height);
      strokes.length = 0;
      stroke = null;
      photo = context;
      notice = "";
      changed();
    } catch {
      notice = say("notPicture", { file: file.name });
      show();
    }
  });

  // --- what Python says ------------------------------------------------------------------

  /** A picture that Python, or another view of this pad, has set: as it is. */
  function given() {
    const picture = model.get("picture");
    if (picture === sent) return;
    sent = picture;
    photo = sheet(picture.width, picture.height);
    putGrey(photo, picture.grey);
    strokes.length = 0;
    stroke = null;
    paint();
    show();
    moved();
  }

  const saw = $(".saw").getContext("2d");

  function show() {
    const answer = model.get("answer");
    const drawn = photo || strokes.length; // an answer may be on its way to a pad just cleared
    const read = drawn && answer.label !== null ? answer : null;
    const percent = (p) => (100 * p).toFixed(1);
    $(".digit").textContent = read ? read.label : "";
    const sure = read && percent(read.probabilities[read.label]);
    const words = read ? say("answer", { digit: read.label, percent: sure }) : say("draw");
    if ($(".answer").textContent !== (notice || words)) $(".answer").textContent = notice || words;
    [...$(".bars").children].forEach((bar, digit) => {
      const p = read ? read.probabilities[digit] : 0;
      bar.classList.toggle("best", digit === read?.label);
      bar.children[1].style.setProperty("--p", p);
      bar.children[2].textContent = read ? `${percent(p)}\u00a0%` : "";
    });
    putGrey(saw, read ? read.normalized : new Uint8Array(28 * 28));
  }

  model.on("change:picture", given);
  model.on("change:answer", show);
  // ink has the colour of the text around it: of a light theme or a dark one
  const themes = new MutationObserver(paint);
  themes.observe(document.body, { attributes: true });
  const sizes = new ResizeObserver(() => {
    pad.width = pad.height = Math.round(pad.clientWidth * devicePixelRatio) || 1;
    paint();
  });
  sizes.observe(pad);
  if (model.get("answer").label !== null) given();
  show();
  moved();

  return () => {
    cancelAnimationFrame(frame);
    themes.disconnect();
    sizes.disconnect();
    model.off("change:picture", given);
    model.off("change:answer", show);
  };
}

export default { render };
