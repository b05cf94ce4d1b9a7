// Where the digits of a picture are, if there are several, by its ink alone.

const GRID = 256; // cells, at most, along the longer side: enough to tell digits apart
const LEAST = 24; // of 255, that ink differs from the paper around it
const TALL = 0.4; // of the tallest piece: what is less tall is a dot, a bar, a speck
const MANY = 8; // more than these are no digits but a pattern, or a page of text

/**
 * The boxes of several digits, in an ImageData's pixels and in the order they are read in:
 * [{ left, top, right, bottom }]. Empty if there is one piece of ink, or none, or a crowd.
 */
export function pieces(picture) {
  const { grey, width, height, step } = coarse(picture);
  const blobs = connected(inked(grey, width, height), width);
  const tallest = Math.max(0, ...blobs.map(({ top, bottom }) => bottom - top));
  const tall = ({ top, bottom }) => bottom - top >= TALL * tallest;
  const digits = joined(blobs.filter(tall));
  // a 5's loose bar goes with what is below it
  for (const blob of blobs.filter((blob) => !tall(blob))) {
    const middle = (blob.left + blob.right) / 2;
    const owner = digits.find(
      ({ left, right, top, bottom }) =>
        left < middle && middle < right &&
        blob.bottom > top - TALL * (bottom - top) && blob.top < bottom + TALL * (bottom - top),
    );
    if (owner) Object.assign(owner, around(owner, blob));
  }
  if (digits.length < 2 || digits.length > MANY) return [];
  const first = ({ top, bottom }, other) => (top + bottom) / 2 < other.top;
  digits.sort((a, b) => (first(a, b) ? -1 : first(b, a) ? 1 : a.left - b.left));
  return digits.map(({ left, top, right, bottom }) => ({
    left: Math.max(0, left - 2) * step,
    top: Math.max(0, top - 2) * step,
    right: Math.min(picture.width, (right + 2) * step),
    bottom: Math.min(picture.height, (bottom + 2) * step),
  }));
}

/** The grey of an ImageData's pixel i, not rounded. */
export function greyAt(data, i) {
  return 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2];
}

/** The picture's grey in cells of step by step pixels. */
function coarse({ width, height, data }) {
  const step = Math.ceil(Math.max(width, height) / GRID);
  const [columns, rows] = [Math.floor(width / step), Math.floor(height / step)];
  const grey = new Float32Array(columns * rows);
  for (let y = 0; y < rows * step; y++) {
    for (let x = 0; x < columns * step; x++) {
      const value = greyAt(data, y * width + x);
      grey[Math.floor(y / step) * columns + Math.floor(x / step)] += value / step / step;
    }
  }
  return { grey, width: columns, height: rows, step };
}

/** 1 where there is ink: what differs enough from the mean around it, darker or lighter. */
function inked(grey, width, height) {
  const sums = new Float64Array((width + 1) * (height + 1)); // of all above and to the left
  for (let y = 0; y < height; y++) {
    for (let x = 0, row = 0; x < width; x++) {
      row += grey[y * width + x];
      sums[(y + 1) * (width + 1) + x + 1] = sums[y * (width + 1) + x + 1] + row;
    }
  }
  const reach = Math.ceil(Math.max(width, height) / 4);
  const difference = grey.map((value, i) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    const [x0, x1] = [Math.max(0, x - reach), Math.min(width, x + reach)];
    const [y0, y1] = [Math.max(0, y - reach), Math.min(height, y + reach)];
    const sum = (x, y) => sums[y * (width + 1) + x];
    return (sum(x1, y1) - sum(x0, y1) - sum(x1, y0) + sum(x0, y0)) / (x1 - x0) / (y1 - y0) - value;
  });
  const energy = (sign) => difference.reduce((sum, d) => sum + Math.max(0, sign * d) ** 2, 0);
  const sign = energy(1) >= energy(-1) ? 1 : -1;
  const strongest = difference.reduce((most, d) => Math.max(most, sign * d), 0);
  return Uint8Array.from(difference, (d) => sign * d > Math.max(LEAST, strongest / 3));
}

/** The boxes of what hangs together, corners included, in cells; it takes the ink away. */
function connected(ink, width) {
  const blobs = [];
  for (let start = ink.indexOf(1); start >= 0; start = ink.indexOf(1, start)) {
    const cells = [start];
    const blob = { left: width, top: Infinity, right: 0, bottom: 0 };
    ink[start] = 0;
    while (cells.length) {
      const cell = cells.pop();
      const [x, y] = [cell % width, Math.floor(cell / width)];
      Object.assign(blob, around(blob, { left: x, top: y, right: x + 1, bottom: y + 1 }));
      for (let dy = -1; dy <= 1; dy++) {
        for (let dx = -1; dx <= 1; dx++) {
          const next = cell + dy * width + dx;
          if (ink[next] !== 1 || x + dx < 0 || x + dx >= width) continue;
          ink[next] = 0;
          cells.push(next);
        }
      }
    }
    blobs.push(blob);
  }
  return blobs;
}

const around = (a, b) => ({
  left: Math.min(a.left, b.left),
  top: Math.min(a.top, b.top),
  right: Math.max(a.right, b.right),
  bottom: Math.max(a.bottom, b.bottom),
});

/** Boxes that lie in one another, such as the two strokes of a 4, made one. */
function joined(boxes) {
  const apart = [];
  for (let box of boxes) {
    for (let i = apart.length - 1; i >= 0; i--) {
      const other = apart[i];
      const across = Math.min(box.right, other.right) - Math.max(box.left, other.left);
      const down = Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top);
      const narrower = Math.min(box.right - box.left, other.right - other.left);
      if (across <= narrower / 4 || down <= 0) continue;
      box = around(box, other);
      apart.splice(i, 1);
    }
    apart.push(box);
  }
  return apart;
}
