// A closer look at one cell of the first layer's maps: its window on the digit, its kernel, the sum.

const SIDE = 5; // of a kernel
const DIGIT = 28; // the side of what the network sees, and how many of 24 x 24 sums …
const CELLS = 12; // … are left of it: of each 2 x 2 the largest

/**
 * What the cell at `row` and `column` of a map is made of: the largest of its four windows.
 *
 * `answer` is lenet.js's. Gives { top, left: of the window on the digit, pixels: its 25, from 0 to
 * 1, kernel: 25 weights, sum: of their products, bias, value: their sum, which below 0 becomes 0 }.
 */
export function lookInto(answer, map, row, column) {
  const kernel = [...answer.kernels.subarray(map * SIDE * SIDE, (map + 1) * SIDE * SIDE)];
  const bias = answer.biases[map];
  const windows = [[0, 0], [0, 1], [1, 0], [1, 1]].map(([down, across]) => {
    const [top, left] = [2 * row + down, 2 * column + across];
    const pixels = kernel.map(
      (_, i) => answer.normalized[(top + Math.floor(i / SIDE)) * DIGIT + left + (i % SIDE)] / 256,
    );
    const sum = pixels.reduce((sum, pixel, i) => sum + pixel * kernel[i], 0);
    return { top, left, pixels, kernel, sum, bias, value: sum + bias };
  });
  return windows.reduce((most, window) => (window.value > most.value ? window : most));
}

/** The pixel of a cell in the picture of all maps, which lie `columns` in a row, a pixel apart. */
export function placeOf({ map, row, column }, columns) {
  return {
    x: (map % columns) * (CELLS + 1) + column,
    y: Math.floor(map / columns) * (CELLS + 1) + row,
  };
}

/** The cell at a place in that picture; between two maps, the nearest to the left and above. */
export function cellAt(x, y, columns) {
  const [across, down] = [x, y].map((at) => Math.floor(at / (CELLS + 1)));
  const [column, row] = [x, y].map((at) => Math.min(CELLS - 1, Math.floor(at % (CELLS + 1))));
  return { map: down * columns + across, row, column };
}
