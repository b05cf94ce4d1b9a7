// A learning rate to choose, and gradient descent on the cost along a line through the weights.
// valley.py puts pad.js and keys.js before this, so nothing is imported here.

const STEPS = 20; // and in valley.py
const PAUSE = 180; // ms between two of them while they are played
const ARRIVED = 0.01; // of the height above the lowest cost: as good as down
const [WIDTH, HEIGHT, LEFT, RIGHT, ABOVE, BELOW] = [640, 340, 40, 12, 32, 68]; // margins for words
const SENTENCES = {
  en: {
    picture: "The cost along the line: a valley, and the steps that are taken in it",
    cost: "cost",
    distance: "distance along the line (0: the weights now)",
    rate: "Learning rate",
    play: "Play 20 steps",
    start: "You stand at a cost of {from}. The lowest on this line is {lowest}.",
    down: "Learning rate {rate}: the cost falls from {from} to {to}. It is down after step {n}.",
    creeps: "Learning rate {rate}: the cost goes from {from} to {to}. Too small: 20 steps do not get down.",
    leaps: "Learning rate {rate}: the cost goes from {from} to {to}, by way of {top}. Too large: the steps leap from side to side.",
    gone: "Learning rate {rate}: far too large. Step {n} leaves the picture.",
  },
  zh: {
    picture: "沿这条直线的代价：一个谷，以及在谷里走的每一步",
    cost: "代价",
    distance: "沿直线的距离（0 是现在的权重）",
    rate: "学习率",
    play: "走 20 步",
    start: "现在的代价是 {from}。这条线上最低是 {lowest}。",
    down: "学习率 {rate}：代价从 {from} 降到 {to}，第 {n} 步就到了谷底。",
    creeps: "学习率 {rate}：代价从 {from} 到 {to}。太小：20 步还到不了谷底。",
    leaps: "学习率 {rate}：代价从 {from} 到 {to}，途中高达 {top}。太大：在谷的两侧来回跳。",
    gone: "学习率 {rate}：大得太多，第 {n} 步就跳出了画面。",
  },
};

/** The cost and its slope at a place, on the cubic between the two known places around it. */
function at({ places, costs, slopes }, place) {
  const known = places.findLastIndex((x) => x <= place);
  const k = Math.max(0, Math.min(places.length - 2, known));
  const width = places[k + 1] - places[k];
  const t = Math.max(0, Math.min(1, (place - places[k]) / width)); // beyond an end, that end's
  const [rise, here, there] = [costs[k + 1] - costs[k], width * slopes[k], width * slopes[k + 1]];
  const [bend, turn] = [3 * rise - 2 * here - there, here + there - 2 * rise];
  return {
    cost: costs[k] + t * (here + t * (bend + t * turn)),
    slope: (here + t * (2 * bend + 3 * t * turn)) / width,
  };
}

/** Where 20 steps lead, the start at 0 included; less if a step leaves the line's end. */
export function descend(valley, rate) {
  const path = [0];
  const onLine = (place) => valley.places[0] <= place && place <= valley.places.at(-1);
  while (path.length <= STEPS && onLine(path.at(-1)))
    path.push(path.at(-1) - rate * at(valley, path.at(-1)).slope);
  return path;
}

/** What came of it: the name of a sentence, and what it speaks of. */
function outcome(valley, path) {
  const heights = path.map((place) => at(valley, place).cost);
  const [from, to, top] = [heights[0], heights.at(-1), Math.max(...heights)];
  const lowest = Math.min(...valley.costs);
  const high = heights.findLastIndex((height) => height - lowest > ARRIVED * (from - lowest));
  const back = path.some((place, k) => k > 1 && (place - path[k - 1]) * path[1] < 0);
  const gone = path.at(-1) < valley.places[0] || path.at(-1) > valley.places.at(-1);
  const name = gone ? "gone" : high < path.length - 1 ? "down" : back ? "leaps" : "creeps";
  const said = Object.entries({ from, to, top, lowest }).map(([key, x]) => [key, x.toFixed(3)]);
  return { name, ...Object.fromEntries(said), n: gone ? path.length - 1 : high + 1 };
}

function render({ model, el }) {
  const language = preferredLanguage();
  const words = SENTENCES[language];
  const valley = Object.fromEntries(["places", "costs", "slopes"].map((key) => [key, model.get(key)]));
  const [first, last] = [valley.places[0], valley.places.at(-1)];
  const [lowest, highest] = [Math.min(...valley.costs), Math.max(...valley.costs)];
  const x = (place) => LEFT + ((place - first) / (last - first)) * (WIDTH - LEFT - RIGHT);
  const tall = HEIGHT - ABOVE - BELOW;
  const y = (cost) => ABOVE + ((highest - cost) / (highest - lowest)) * tall;
  const point = (place) => `${x(place).toFixed(2)},${y(at(valley, place).cost).toFixed(2)}`;
  const fine = Array.from({ length: 201 }, (_, k) => first + (k / 200) * (last - first));
  const whole = (low, high) => {
    const apart = Math.ceil((high - low) / 9);
    const from = Math.ceil(low / apart);
    return Array.from({ length: Math.floor(high / apart) - from + 1 }, (_, k) => (from + k) * apart);
  };
  const rows = whole(lowest, highest).map((cost) => `<line class="grid" x1="${LEFT}" x2="${WIDTH}"
    y1="${y(cost)}" y2="${y(cost)}" /><text x="0" y="${y(cost) + 5}">${cost}</text>`);
  const columns = whole(first, last).map((place) => `<text text-anchor="middle" x="${x(place)}"
    y="${HEIGHT - BELOW + 32}">${place}</text>`);

  el.innerHTML = `<div class="lenet-valley">
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" data-label="picture">
      <text x="0" y="18" data-word="cost"></text>${rows.join("")}${columns.join("")}
      <text x="${WIDTH}" y="${HEIGHT - 4}" text-anchor="end" data-word="distance"></text>
      <polyline class="curve" points="${fine.map(point).join(" ")}" />
      <polyline class="steps" /><g class="places"></g></svg>
    <div class="controls"><label><span data-word="rate"></span>
      <input type="range" min="-2" max="1" step="0.05"><output></output></label>
      <button data-word="play"></button></div>
    <p aria-live="polite"></p></div>`;
  translate(el.firstChild, language, words);
  const [slider, shown, said] = ["input", "output", "p"].map((name) => el.querySelector(name));
  let timer;

  /** Draw the first steps of those that the learning rate makes; say what comes of all of them. */
  function show(steps) {
    const rate = model.get("rate");
    const path = descend(valley, rate);
    const taken = path.slice(0, steps + 1);
    el.querySelector(".steps").setAttribute("points", taken.map(point).join(" "));
    const dot = (place) => `<circle r="5" cx="${x(place)}" cy="${y(at(valley, place).cost)}" />`;
    el.querySelector(".places").innerHTML = taken.map(dot).join("");
    shown.textContent = Number(rate.toPrecision(2));
    slider.value = Math.log10(rate);
    slider.setAttribute("aria-valuetext", shown.textContent);
    const { name, ...facts } = outcome(valley, path);
    const done = taken.length === path.length;
    said.textContent = done ? fill(words[name], { ...facts, rate: shown.textContent }) : "";
    return done;
  }

  function play() {
    clearInterval(timer);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return show(STEPS);
    let steps = 0;
    show(steps);
    timer = setInterval(() => show(++steps) && clearInterval(timer), PAUSE);
  }

  keepKeys(el);
  slider.addEventListener("input", () => {
    model.set("rate", Number((10 ** slider.valueAsNumber).toPrecision(2)));
    model.save_changes();
  });
  el.querySelector("button").addEventListener("click", play);
  model.on("change:rate", () => (clearInterval(timer), show(STEPS)));
  show(0);
  const { name, ...facts } = outcome(valley, descend(valley, model.get("rate")));
  said.textContent = fill(words.start, facts);
  return () => clearInterval(timer);
}

export default { render };
