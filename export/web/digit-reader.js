// <digit-reader>: a pad to draw on, and what the network reads there. One element, for any page.
//
//     <script type="module" src="digit-reader.js"></script>
//     <digit-reader lang="en"></digit-reader>

import { load, recognize } from "./lenet.js";
import { MARKUP, Pad, Reading, fill, preferredLanguage, putGrey, sentence, sheet, translate } from "./pad.js";
import { pieces } from "./pieces.js";
import { WORDS } from "./words.js";

const TEMPLATE = `
  <link rel="stylesheet" href="${new URL("digit-reader.css", import.meta.url).href}">
  <div class="lenet-pad" hidden>
    <p class="notice" role="alert" hidden></p>
    ${MARKUP}
  </div>`;

const DARK = matchMedia("(prefers-color-scheme: dark)");
const heard = new Set(); // the elements that wait
let network = null; // one for all elements of a page

/** The network, loaded once; `progress` hears of it from now on. */
function loaded(progress) {
  heard.add(progress);
  network ??= load((part) => heard.forEach((hears) => hears(part)));
  return network.finally(() => heard.delete(progress));
}

/**
 * The element.
 *
 * lang: "en" or "zh"; without it, the language of what it stands in, or the browser's.
 * answer: { label, isDigit, probabilities, normalized, … } of lenet.js, and `digits`, those of a
 * picture that seems to hold several; or null while there is no ink.
 * ready: a promise; true once it reads, false if something is missing, and then it says what.
 * open(file), undo(), clear(): as its buttons do; open resolves to false if the file is no picture.
 * picture(): what the network is shown.
 * A `read` event tells of each new answer, in `detail`, and when there is none anymore.
 */
export class DigitReader extends HTMLElement {
  static observedAttributes = ["lang"];

  #result = null; // what lenet.js says last, with ink or without, and digits
  #session = null;
  #failure = null; // or the word for what is wrong with the network
  #asking = false;
  #again = false;
  #started = false;
  #tell; // resolves `ready`
  #repaint = () => this.pad.paint(); // in the colors of now

  constructor() {
    super();
    this.attachShadow({ mode: "open" }).innerHTML = TEMPLATE;
    const [style, root] = this.shadowRoot.children;
    const styled = new Promise((resolve) => (style.onload = style.onerror = resolve));
    styled.then(() => (root.hidden = false)); // not before: half of it would jump
    const told = new Promise((resolve) => (this.#tell = resolve));
    this.ready = styled.then(() => told);
    this.root = root;
    this.progress = document.createElement("progress");
    this.progress.dataset.label = "waiting";
    root.querySelector(".answer").after(this.progress);
    this.saw = root.querySelector(".saw").getContext("2d");
    this.reading = new Reading(root.querySelector(".read"));
    this.pad = new Pad(root.querySelector(".draw"), () => {
      this.reading.busy = this.pad.stroke;
      this.#ask();
    });
  }

  connectedCallback() {
    DARK.addEventListener("change", this.#repaint);
    if (!this.#started) this.#start();
  }

  disconnectedCallback() {
    DARK.removeEventListener("change", this.#repaint);
  }

  attributeChangedCallback() {
    if (this.#started) this.#speak();
  }

  async #start() {
    this.#started = true;
    this.#speak();
    try {
      this.#session = await loaded((part) => {
        if (Number.isFinite(part)) this.progress.value = part;
      });
      await this.#ask();
    } catch (error) {
      this.#failure = error.name in WORDS.en ? error.name : "damaged";
    }
    this.progress.remove();
    this.#show();
    this.#tell(this.#session !== null);
  }

  async open(file) {
    await this.pad.open(file);
    return this.pad.refused === null;
  }

  undo() {
    this.pad.undo();
  }

  clear() {
    this.pad.clear();
  }

  picture() {
    return this.pad.picture();
  }

  #speak() {
    const asked = (this.getAttribute("lang") ?? this.closest("[lang]")?.lang ?? "").slice(0, 2);
    this.language = asked in WORDS ? asked : preferredLanguage();
    translate(this.root, this.language, this.words);
    this.#show();
  }

  get answer() {
    return this.#result?.hasInk ? this.#result : null;
  }

  get words() {
    return WORDS[this.language];
  }

  /** One question at a time; what is drawn meanwhile is asked when the answer is there. */
  async #ask() {
    if (!this.#session) return this.#show();
    this.#again = true;
    if (this.#asking) return;
    this.#asking = true;
    while (this.#again) {
      this.#again = false;
      const picture = this.pad.picture();
      const result = await recognize(this.#session, picture);
      const digits = result.hasInk && !this.pad.stroke ? await this.#oneByOne(picture) : [];
      if (this.#again && digits.length) continue; // the picture has changed since
      this.#result = { ...result, digits };
      this.#show();
      this.dispatchEvent(new CustomEvent("read", { detail: this.answer, bubbles: true }));
      await new Promise(requestAnimationFrame);
    }
    this.#asking = false;
  }

  /** What looks like several digits, each cut out and read by itself; "?" is not like any. */
  async #oneByOne(picture) {
    const labels = [];
    for (const { left, top, right, bottom } of pieces(picture)) {
      const whole = sheet(right - left, bottom - top);
      whole.putImageData(picture, -left, -top);
      const cut = whole.getImageData(0, 0, right - left, bottom - top);
      const { hasInk, isDigit, label } = await recognize(this.#session, cut);
      if (hasInk) labels.push(isDigit ? label : "?");
    }
    return labels.length > 1 && labels.some(Number.isInteger) ? labels : [];
  }

  #show() {
    const { words, pad, root, answer } = this;
    const say = (word, values) => fill(words[word], values);
    const refused = pad.refused !== null && say("notPicture", { file: pad.refused });
    const notice = refused || (this.#failure && say(this.#failure));
    const noticed = root.querySelector(".notice");
    noticed.hidden = !notice;
    noticed.textContent = notice || "";
    const several = answer?.digits.length > 1;
    const text = several
      ? say("oneByOne", { digit: answer.label, digits: answer.digits.join(words.comma) })
      : answer ? sentence(words, answer)
      : this.#session ? say(pad.photo ? "blank" : "draw")
      : this.#failure ? "" : say("waiting");
    this.reading.show(answer, text, several ? "?" : undefined);
    putGrey(this.saw, this.#result?.normalized ?? new Uint8Array(28 * 28));
  }
}

customElements.define("digit-reader", DigitReader);
