// Feature maps that follow a drawing pad. maps.py puts pad.js before this, so nothing is imported.

const CAPTIONS = {
  en: {
    layer: "{name}: {count} maps of {height}×{width}",
    bluest: "{layer}. Most blue: {maps}.",
    comma: ", ",
    empty: "Draw on the pad, and its maps appear here.",
    trouble: "The network has failed. {trouble}",
  },
  zh: {
    layer: "{name}：{count} 张 {height}×{width} 的特征图",
    bluest: "{layer}。最蓝的是第 {maps} 张。",
    comma: "、",
    empty: "在手写板上写字，这里就会出现特征图。",
    trouble: "网络出错了。{trouble}",
  },
};

/** The numbers of the three maps with the largest sums, the largest first. */
function bluest(values, count) {
  const size = values.length / count;
  const sum = (map) => values.subarray(map * size, (map + 1) * size).reduce((a, b) => a + b, 0);
  const sums = Array.from({ length: count }, (_, map) => [sum(map), map]);
  return sums.sort(([a], [b]) => b - a).slice(0, 3).map(([, map]) => map);
}

/** One map's values, from -127 to 127, as colors: the nearer to 0, the more of the ground shows. */
function paintMap(context, values, below, above) {
  const { width, height } = context.canvas;
  const image = context.createImageData(width, height);
  values?.forEach((value, i) => {
    image.data.set([...(value < 0 ? below : above), (255 * Math.abs(value)) / 127], 4 * i);
  });
  context.putImageData(image, 0, 0);
}

function render({ model, el }) {
  const language = preferredLanguage();
  const words = CAPTIONS[language];
  const root = document.createElement("div");
  root.className = "lenet-maps";
  root.lang = language === "zh" ? "zh-Hans" : "en";
  root.innerHTML = `<p aria-live="polite"></p><p aria-hidden="true">−1 <i></i> 1</p>`;
  const said = root.firstChild;
  el.append(root);

  const layers = Object.entries(model.get("shapes")).map(([name, [count, height, width]]) => {
    const figure = document.createElement("figure");
    figure.innerHTML = `<figcaption aria-hidden="true"></figcaption><div role="img"></div>`;
    const [caption, grid] = figure.children;
    caption.textContent = fill(words.layer, { name, count, height, width });
    const rows = count % 4 ? 5 : 4; // on a narrow screen
    grid.style.setProperty("--wide", Math.ceil(count / 2));
    grid.style.setProperty("--narrow", Math.ceil(count / rows));
    const maps = Array.from({ length: count }, (_, map) => {
      const context = sheet(width, height);
      const cell = document.createElement("span");
      cell.append(context.canvas, map);
      grid.append(cell);
      return context;
    });
    root.append(figure);
    return { name, grid, maps, layer: caption.textContent };
  });

  function show() {
    const style = getComputedStyle(root);
    const ends = ["--below", "--above"].map((end) => style.getPropertyValue(end).split(" "));
    const sent = model.get("maps");
    for (const { name, grid, maps, layer } of layers) {
      const bytes = sent[name]; // a DataView, or undefined while the pad is empty
      const values = bytes && new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const size = bytes?.byteLength / maps.length;
      const part = (map) => values?.subarray(map * size, (map + 1) * size);
      maps.forEach((context, map) => paintMap(context, part(map), ...ends));
      const told = values && { layer, maps: bluest(values, maps.length).join(words.comma) };
      grid.setAttribute("aria-label", told ? fill(words.bluest, told) : layer);
    }
    const trouble = model.get("trouble");
    const idle = Object.keys(sent).length ? "" : words.empty;
    const text = trouble ? fill(words.trouble, { trouble }) : idle;
    if (said.textContent !== text) said.textContent = text; // else it might be read aloud again
  }

  const changes = ["change:maps", "change:trouble"];
  changes.forEach((change) => model.on(change, show));
  const themes = new MutationObserver(show); // to a light page or a dark one
  themes.observe(document.body, { attributes: true });
  const sizes = new ResizeObserver(show); // first when it is on the page and so has its colors
  sizes.observe(root);
  return () => {
    themes.disconnect();
    sizes.disconnect();
    changes.forEach((change) => model.off(change, show));
  };
}

export default { render };
