// The drawing pad in a notebook: a grey picture out to Python, its answer shown.
// drawing.py puts pad.js before this, so nothing is imported here.

// JupyterLab leaves the keys alone that go to an element with data-lm-suppress-shortcuts. It must
// be the very element that has the focus: else D, D would delete the notebook's cell.
const HTML = `
  <div class="draw">
    <div class="board">
      <canvas class="pad" tabindex="0" role="application" data-label="pad" KEYS></canvas>
      <i class="cursor" hidden></i>
    </div>
    <div class="buttons">
      <button type="button" class="undo" data-word="undo" KEYS></button>
      <button type="button" class="clear" data-word="clear" KEYS></button>
      <label class="button">
        <span data-word="photo"></span><input type="file" accept="image/*" KEYS>
      </label>
    </div>
  </div>
  <div class="read">
    <output class="digit" aria-hidden="true"></output>
    <p class="answer" aria-live="polite"></p>
    <ol class="bars" data-label="probabilities" start="0"></ol>
    <figure>
      <canvas class="saw" width="28" height="28" role="img" data-label="saw"></canvas>
      <figcaption data-word="saw"></figcaption>
    </figure>
  </div>`.replaceAll("KEYS", 'data-lm-suppress-shortcuts="true"');

/** The grey of an ImageData, as lenet-keras's Python and its page count it. */
function greyOf({ width, height, data }) {
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
  const language = preferredLanguage();
  const words = WORDS[language];
  const root = document.createElement("div");
  root.className = "lenet-pad";
  root.innerHTML = HTML;
  translate(root, language, words);
  el.append(root);

  const reading = new Reading(root.querySelector(".read"));
  const saw = root.querySelector(".saw").getContext("2d");
  const pad = new Pad(root.querySelector(".draw"), () => {
    if (pad.refused === null) ask(); // what is no picture changes nothing
    show();
  });

  let sent = null; // what this pad last gave to Python, to know it when it comes back
  let frame = 0;

  /** Give Python the picture, at most once a frame; busy, the notebook sends the latest only. */
  function ask() {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      sent = greyOf(pad.picture());
      model.set("picture", sent);
      model.save_changes();
    });
  }

  function show() {
    const answer = model.get("answer");
    // an answer may be on its way to a pad just cleared
    const read = !pad.blank && answer.label !== null ? answer : null;
    const refused = pad.refused !== null && fill(words.notPicture, { file: pad.refused });
    reading.busy = pad.stroke;
    reading.show(read, refused || (read ? sentence(words, read) : words.draw));
    putGrey(saw, read ? read.normalized : new Uint8Array(28 * 28));
  }

  /** A picture that Python, or another view of this pad, has set: as it is. */
  function given() {
    const picture = model.get("picture");
    if (picture === sent) return;
    sent = picture;
    const photo = sheet(picture.width, picture.height);
    putGrey(photo, picture.grey);
    pad.show(photo);
    show();
  }

  model.on("change:picture", given);
  model.on("change:answer", show);
  // ink has the colour of the text around it: of a light theme or a dark one
  const themes = new MutationObserver(() => pad.paint());
  themes.observe(document.body, { attributes: true });
  if (model.get("answer").label !== null) given();
  show();

  return () => {
    cancelAnimationFrame(frame);
    themes.disconnect();
    model.off("change:picture", given);
    model.off("change:answer", show);
  };
}

export default { render };
