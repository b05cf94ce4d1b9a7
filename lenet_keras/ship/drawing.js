// The drawing pad in a notebook: a grey picture out to Python, its answer shown.
// drawing.py puts pad.js, pieces.js and keys.js before this, so nothing is imported here.

/** The grey of an ImageData, as lenet-keras's Python and its page count it. */
function greyOf({ width, height, data }) {
  const grey = new Uint8Array(width * height);
  for (let i = 0; i < grey.length; i++) {
    grey[i] = greyAt(data, i) + 0.5;
  }
  return { height, width, grey };
}

/** Running a cell scrolls to the next, before the pad is there: if half of it is in view, all is. */
function comeIntoView(root) {
  new IntersectionObserver(([{ intersectionRatio }], observer) => {
    observer.disconnect();
    if (intersectionRatio > 0 && intersectionRatio < 1) root.scrollIntoView({ block: "nearest" });
  }).observe(root);
}

function render({ model, el }) {
  const language = preferredLanguage();
  const words = WORDS[language];
  const root = document.createElement("div");
  root.className = "lenet-pad";
  root.innerHTML = MARKUP;
  translate(root, language, words);
  el.append(root);
  keepKeys(root);
  comeIntoView(root);

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
    const several = read && !pad.stroke && pieces(pad.picture()).length > 1;
    const said = several
      ? fill(words.several, { digit: read.label })
      : read ? sentence(words, read) : pad.photo ? words.blank : words.draw;
    reading.busy = pad.stroke;
    reading.show(read, refused || said, several ? "?" : undefined);
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
  // ink has the color of the text around it: of a light theme or a dark one
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
