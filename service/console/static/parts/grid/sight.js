/** Which part of a grid is in sight. Wheel and finger move by pixels of the rows however long the table is. */

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact";
import { ROW, scaleOf } from "console/parts/grid/scale";

const SETTLED = 250;
const JUMP = 3; // heights: who moves further at once drags the scroll bar

/**
 * `{view, scale, room, look, show}` of the element that scrolls. `view.first` is the row at the upper edge, as a fraction;
 * `view.top` is where the scroll bar is. `show(row)` brings a row into sight exactly.
 */
export function useSight(box, total, head, key, start = 0) {
  const [view, setView] = useState({ first: 0, top: 0, left: 0, height: 480, width: 1000 });
  const room = Math.max(view.height - head, ROW);
  const scale = useMemo(() => scaleOf(total, room), [total, room]);
  const held = useRef(null);
  held.current ??= { first: 0, top: 0, dragging: false, timer: null };
  const now = useRef(scale);
  now.current = scale;

  const told = () => {
    const { scrollLeft: left, clientHeight: height, clientWidth: width } = box.current;
    const next = { first: held.current.first, top: held.current.top, left, height, width };
    setView((before) => (Object.keys(next).every((name) => before[name] === next[name]) ? before : next));
  };
  const place = (first) => {
    held.current.first = Math.min(Math.max(first, 0), now.current.most);
    box.current.scrollTop = now.current.topOf(held.current.first);
    held.current.top = box.current.scrollTop; // as the browser rounds it
    told();
  };
  const settle = () => {
    clearTimeout(held.current.timer);
    held.current.timer = null;
    held.current.dragging = false;
    if (box.current && !now.current.whole) place(held.current.first);
  };
  const look = () => {
    if (box.current === null) return; // a last call of the observer
    const at = held.current;
    const top = box.current.scrollTop;
    if (Math.abs(top - at.top) >= 1) {
      const moved = top - at.top;
      const byShare = now.current.whole || at.dragging || Math.abs(moved) > JUMP * box.current.clientHeight;
      const wanted = byShare ? now.current.rowAt(top) : at.first + moved / ROW;
      const atEnd = top <= 0 ? 0 : top >= box.current.scrollHeight - box.current.clientHeight - 1 ? now.current.most : wanted;
      at.first = Math.min(Math.max(atEnd, 0), now.current.most);
      at.top = top;
      if (!now.current.whole) {
        clearTimeout(at.timer);
        at.timer = setTimeout(settle, SETTLED);
      }
    }
    told();
  };
  const show = (row) => {
    const { first } = held.current;
    if (row < first) place(row);
    else if (row + 1 > first + room / ROW) place(row + 1 - room / ROW);
  };
  useLayoutEffect(() => {
    const element = box.current;
    const press = (event) => { if (event.target === element && event.offsetX >= element.clientWidth) held.current.dragging = true; };
    const observer = new ResizeObserver(look);
    observer.observe(element);
    element.addEventListener("pointerdown", press);
    element.addEventListener("scrollend", settle);
    return () => {
      observer.disconnect();
      clearTimeout(held.current.timer);
      element.removeEventListener("pointerdown", press);
      element.removeEventListener("scrollend", settle);
    };
  }, []);
  const begun = useRef(false);
  useLayoutEffect(() => {
    look();
    now.current = scaleOf(total, Math.max(box.current.clientHeight - head, ROW));
    place(begun.current ? 0 : Math.max(start - 3, 0));
    begun.current = true;
  }, [key]);
  useEffect(() => { if (held.current.first > scale.most) place(scale.most); }, [scale]);
  return { view, scale, room, look, show, top: view.top, scrollBy: (rows) => place(held.current.first + rows) };
}
