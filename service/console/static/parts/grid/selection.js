/** The cell that has the keyboard, and the rectangle of cells between it and where the choice began. */

/** One cell. */
export const at = (row, column) => ({ row, column, fromRow: row, fromColumn: column });

/** The same choice, drawn out to another cell. */
export const drawn = (choice, row, column) => ({ ...choice, row, column });

/** The rectangle of a choice: `{top, bottom, left, right}`, all of them chosen. */
export const rectangle = ({ row, column, fromRow, fromColumn }) => ({
  top: Math.min(row, fromRow), bottom: Math.max(row, fromRow), left: Math.min(column, fromColumn), right: Math.max(column, fromColumn),
});

export const cells = (choice) => {
  const { top, bottom, left, right } = rectangle(choice);
  return (bottom - top + 1) * (right - left + 1);
};

export const isChosen = ({ top, bottom, left, right }, row, column) => row >= top && row <= bottom && column >= left && column <= right;

/** Where a key leads to from a choice, or null: `{row, column}`. Row −1 is the header, if there is one to go to. */
export function moved(event, { row, column }, { total, columns, page, header }) {
  const end = event.ctrlKey || event.metaKey;
  const moves = {
    ArrowUp: end ? [-Infinity, 0] : [-1, 0], ArrowDown: end ? [Infinity, 0] : [1, 0],
    ArrowLeft: end ? [0, -Infinity] : [0, -1], ArrowRight: end ? [0, Infinity] : [0, 1],
    PageUp: [-page, 0], PageDown: [page, 0], Home: [end ? -Infinity : 0, -Infinity], End: [end ? Infinity : 0, Infinity],
  };
  if (event.altKey || !moves[event.key]) return null;
  const [down, right] = moves[event.key];
  const toHeader = header && row <= 0 && event.key === "ArrowUp" && !end && !event.shiftKey;
  const least = toHeader || (row < 0 && down === 0) ? -1 : 0;
  const between = (value, low, high) => Math.min(Math.max(value, low), Math.max(high, low));
  return { row: between(row + down, least, total - 1), column: between(column + right, 0, columns - 1) };
}
