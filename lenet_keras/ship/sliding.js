// A window to slide over a digit, a kernel to change, and the feature map that fills meanwhile.
// sliding.py puts pad.js and keys.js before this, so nothing is imported here.

const CELL = 10; // pixels on the screen for a pixel of the digit, and for one of the map
const SENTENCES = {
  en: {
    digit: "The digit. Drag the window over it, or move it with the arrow keys.",
    map: "The feature map: an answer for each place the window has been to",
    weight: "Weight in row {row}, column {column}",
    sum: "row {row}, column {column}: the sum is {sum}",
    fill: "Slide over all of it",
    clear: "Clear the map",
  },
  zh: {
    digit: "数字图。拖动上面的窗口，或用方向键移动。",
    map: "特征图：窗口每到一个位置，就有一个响应",
    weight: "第 {row} 行第 {column} 列的权重",
    sum: "第 {row} 行第 {column} 列：和是 {sum}",
    fill: "滑遍整张图",
    clear: "清空特征图",
  },
};

/** From orange at -limit over near-white to blue at limit: the course's colors of signs. */
function color(value, limit) {
  const share = Math.min(1, Math.abs(value) / limit);
  const [red, green, blue] = value < 0 ? [213, 94, 0] : [0, 114, 178];
  const mix = (end) => Math.round(247 + share * (end - 247));
  return `rgb(${mix(red)}, ${mix(green)}, ${mix(blue)})`;
}

function render({ model, el }) {
  const language = preferredLanguage();
  const words = SENTENCES[language];
  const image = model.get("image");
  let kernel = model.get("kernel");
  const size = kernel.length;
  const side = image.length - size + 1; // of the map
  const visited = Array.from({ length: side }, () => Array(side).fill(false));
  let at = { row: 0, column: 0 };
  let answers; // of the kernel, at every place

  el.innerHTML = `<div class="lenet-sliding">
    <canvas class="digit" tabindex="0" role="img" data-label="digit"
      width="${image.length * CELL}" height="${image.length * CELL}"></canvas>
    <div><div class="weights"></div><p aria-live="polite"></p>
      <button class="fill" data-word="fill"></button>
      <button class="clear" data-word="clear"></button></div>
    <canvas class="map" role="img" data-label="map"
      width="${side * CELL}" height="${side * CELL}"></canvas></div>`;
  translate(el.firstChild, language, words);
  const [digit, map] = el.querySelectorAll("canvas");
  const weights = el.querySelector(".weights");
  weights.style.gridTemplateColumns = `repeat(${size}, 1fr)`;
  kernel.forEach((line, row) =>
    line.forEach((weight, column) => {
      const input = Object.assign(document.createElement("input"), {
        type: "number", step: 0.5, value: weight, title: fill(words.weight, { row, column }),
      });
      input.addEventListener("input", () => change(row, column, input.valueAsNumber || 0));
      weights.append(input);
    }),
  );

  /** All of the answers, when there is a kernel to ask for them. */
  function slide() {
    const answer = (row, column) => {
      let sum = 0;
      for (let i = 0; i < size; i++)
        for (let j = 0; j < size; j++) sum += image[row + i][column + j] * kernel[i][j];
      return sum;
    };
    answers = visited.map((line, row) => line.map((_, column) => answer(row, column)));
  }

  function change(row, column, weight) {
    const changed = kernel.map((line) => [...line]);
    changed[row][column] = weight;
    model.set("kernel", changed); // and so it is heard of below
    model.save_changes();
  }

  function moveTo(row, column) {
    const within = (x) => Math.max(0, Math.min(side - 1, x));
    at = { row: within(row), column: within(column) };
    visited[at.row][at.column] = true;
    draw();
  }

  function frame(context, x, y, width) {
    context.strokeStyle = "#e69f00";
    context.lineWidth = 3;
    context.strokeRect(x * CELL + 1.5, y * CELL + 1.5, width * CELL - 3, width * CELL - 3);
  }

  function draw() {
    const largest = Math.max(1e-6, ...kernel.flat().map(Math.abs));
    [...weights.children].forEach((input, k) => {
      const weight = kernel[Math.floor(k / size)][k % size];
      if (document.activeElement !== input) input.value = weight;
      input.style.background = color(weight, largest);
      input.style.color = Math.abs(weight) > 0.6 * largest ? "white" : "black";
    });
    let context = digit.getContext("2d");
    image.forEach((line, row) =>
      line.forEach((ink, column) => {
        const grey = Math.round(255 * (1 - ink));
        context.fillStyle = `rgb(${grey}, ${grey}, ${grey})`;
        context.fillRect(column * CELL, row * CELL, CELL, CELL);
      }),
    );
    frame(context, at.column, at.row, size);
    // so that the colors of places keep their meaning, the scale is that of the whole map
    const limit = Math.max(1e-6, ...answers.flat().map(Math.abs));
    context = map.getContext("2d");
    for (let row = 0; row < side; row++)
      for (let column = 0; column < side; column++) {
        context.fillStyle = visited[row][column] ? color(answers[row][column], limit) : "#d9d9d9";
        context.fillRect(column * CELL, row * CELL, CELL, CELL);
      }
    frame(context, at.column, at.row, 1);
    el.querySelector("p").textContent = fill(words.sum, {
      ...at, sum: answers[at.row][at.column].toFixed(2),
    });
  }

  function follow(event) {
    if (event.type === "pointermove" && !event.buttons) return;
    const { left, top, width } = digit.getBoundingClientRect();
    const pixel = (x) => Math.floor((x / width) * image.length) - Math.floor(size / 2);
    moveTo(pixel(event.clientY - top), pixel(event.clientX - left));
  }
  digit.addEventListener("pointerdown", follow);
  digit.addEventListener("pointermove", follow);
  keepKeys(el);
  el.addEventListener("keydown", (event) => {
    if (event.target !== digit || !(event.key in ARROWS)) return;
    event.preventDefault();
    const [x, y] = ARROWS[event.key];
    moveTo(at.row + y, at.column + x);
  });
  const all = (value) => visited.forEach((line) => line.fill(value));
  el.querySelector(".fill").addEventListener("click", () => (all(true), draw()));
  el.querySelector(".clear").addEventListener("click", () => (all(false), draw()));
  model.on("change:kernel", () => {
    kernel = model.get("kernel");
    slide();
    draw();
  });
  slide();
  moveTo(0, 0);
}

export default { render };
