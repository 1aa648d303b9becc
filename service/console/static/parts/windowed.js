/** Lists whose lines all have one height: only those in sight are in the page, however many there are. */

import { useEffect, useLayoutEffect, useRef, useState } from "preact";

const MARGIN = 10;

/**
 * Which of `count` lines of `height` pixels are in sight of an element that scrolls: `{ref, first, last, onScroll,
 * scrollTo}`. With `follow` it stays at the end as lines come, until somebody scrolls up.
 */
export function useWindow(count, height, { follow = false } = {}) {
  const ref = useRef(null);
  const atEnd = useRef(true);
  const [range, setRange] = useState([0, 60]);
  const look = () => {
    const box = ref.current;
    if (!box) return;
    const first = Math.max(0, Math.floor(box.scrollTop / height) - MARGIN);
    const last = Math.ceil((box.scrollTop + box.clientHeight) / height) + MARGIN;
    setRange((before) => (before[0] === first && before[1] === last ? before : [first, last]));
  };
  const onScroll = () => {
    const box = ref.current;
    atEnd.current = box.scrollTop + box.clientHeight >= box.scrollHeight - 2 * height;
    look();
  };
  useLayoutEffect(() => {
    if (follow && atEnd.current && ref.current) ref.current.scrollTop = ref.current.scrollHeight;
    look();
  }, [count, follow]);
  useEffect(() => {
    const observer = new ResizeObserver(look);
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);
  const scrollTo = (line) => {
    const box = ref.current;
    const top = line * height;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + height > box.scrollTop + box.clientHeight) box.scrollTop = top + height - box.clientHeight;
  };
  return { ref, first: Math.min(range[0], count), last: Math.min(range[1], count), onScroll, scrollTo };
}
