/** A mouse chooses cells by pressing and drawing; a finger taps, since drawing scrolls; what is pressed twice opens. */

import { useEffect, useRef } from "preact";
import { at, cells, drawn, isChosen, rectangle } from "console/parts/grid/selection";
import { ROW } from "console/parts/grid/scale";

const PACE = 40;

export function useDrag(grid) {
  const now = useRef(grid);
  now.current = grid;
  const drag = useRef(null);
  const touched = useRef(false);
  const end = () => {
    clearInterval(drag.current?.timer);
    drag.current?.stop.abort();
    drag.current = null;
  };
  useEffect(() => end, []);

  /** The cell at a place of the window, the nearest one for places outside. */
  const cellAt = ({ clientX, clientY }) => {
    const { box, head, starts, fixed, total, first, columns } = now.current;
    const edge = box.current.getBoundingClientRect();
    const x = clientX - edge.left;
    const right = x < starts[fixed] ? x : x + box.current.scrollLeft;
    const column = starts.findIndex((start, place) => place > 0 && right < start) - 1;
    const row = Math.floor(first + (clientY - edge.top - head) / ROW);
    return { row: Math.min(Math.max(row, 0), total - 1), column: column === -2 ? columns - 1 : Math.max(column, 0), number: x < now.current.gutter };
  };
  const onCells = (event) => event.target.closest?.(".grid-cell") !== null;
  const draw = (event) => {
    const { row, column } = cellAt(event);
    const { choice, choose } = now.current;
    if (row !== choice.row || column !== choice.column) choose(drawn(choice, row, drag.current.wholeRows ? now.current.columns - 1 : column), false);
  };
  const onPointerDown = (event) => {
    touched.current = event.pointerType === "touch";
    if (event.button !== 0 || touched.current || !onCells(event)) return;
    const { choice, choose, box, head, columns } = now.current;
    const { row, column, number } = cellAt(event);
    event.preventDefault();
    box.current.focus({ preventScroll: true });
    if (event.shiftKey && choice.row >= 0) choose(drawn(choice, row, column), false);
    else choose(number ? { row, fromRow: row, fromColumn: 0, column: columns - 1 } : at(row, column), false);
    const stop = new AbortController();
    drag.current = { stop, wholeRows: number, last: event };
    addEventListener("pointermove", (move) => { drag.current.last = move; draw(move); }, { signal: stop.signal });
    addEventListener("pointerup", end, { signal: stop.signal });
    addEventListener("pointercancel", end, { signal: stop.signal });
    drag.current.timer = setInterval(() => {
      const edge = box.current.getBoundingClientRect();
      const { clientX, clientY } = drag.current.last;
      if (clientY > edge.bottom) now.current.scrollBy(1);
      else if (clientY < edge.top + head) now.current.scrollBy(-1);
      if (clientX > edge.right) box.current.scrollLeft += ROW;
      else if (clientX < edge.left) box.current.scrollLeft -= ROW;
      draw(drag.current.last);
    }, PACE);
  };
  const onClick = (event) => {
    if (!touched.current || !onCells(event)) return;
    const { row, column } = cellAt(event);
    now.current.choose(at(row, column), false);
  };
  const onDblClick = (event) => {
    if (!onCells(event)) return;
    const { row, column } = cellAt(event);
    now.current.open(row, column);
  };
  const onContextMenu = (event) => {
    if (!now.current.onMenu || !onCells(event)) return;
    event.preventDefault();
    const { row, column } = cellAt(event);
    const { choice, choose } = now.current;
    const inside = cells(choice) > 1 && isChosen(rectangle(choice), row, column);
    const next = inside ? choice : at(row, column);
    if (!inside) choose(next, false);
    now.current.onMenu({ x: event.clientX, y: event.clientY }, next, at(row, column));
  };
  return { onPointerDown, onClick, onDblClick, onContextMenu };
}
