/**
 * Where rows lie along a scroll bar. Browsers bound the height of an element, so that a long table is drawn `TALLEST`
 * pixels tall: near both ends a pixel is a pixel of the rows, between them it stands for a share of them.
 */

export const ROW = 28;
const TALLEST = 8_000_000;
const NEAR = 1_000_000;

/** `room` is the height in which rows show. `most` is the first row in sight at the end; rows may be fractions. */
export function scaleOf(total, room) {
  const most = Math.max(total - room / ROW, 0);
  if (total * ROW <= TALLEST) return { whole: true, tall: total * ROW, most, rowAt: (top) => top / ROW, topOf: (row) => row * ROW };
  const end = TALLEST - room;
  const rows = NEAR / ROW;
  const share = (most - 2 * rows) / (end - 2 * NEAR);
  return {
    whole: false,
    tall: TALLEST,
    most,
    rowAt: (top) => (top < NEAR ? top / ROW : top > end - NEAR ? most - (end - top) / ROW : rows + (top - NEAR) * share),
    topOf: (row) => (row < rows ? row * ROW : row > most - rows ? end - (most - row) * ROW : NEAR + (row - rows) / share),
  };
}
