/** Puts a text on the clipboard, also where it is still being read, and where the browser has no clipboard for pages. */

/** `text` may be a promise; the click or key that asked for it counts until it is there. Raises what it raises. */
export async function copy(text) {
  if (navigator.clipboard?.write && window.ClipboardItem) {
    const blob = Promise.resolve(text).then((whole) => new Blob([whole], { type: "text/plain" }));
    await Promise.all([blob, navigator.clipboard.write([new ClipboardItem({ "text/plain": blob })])]);
    return;
  }
  const whole = await text;
  if (navigator.clipboard) await navigator.clipboard.writeText(whole);
  else copyByHand(whole); // http on another machine
}

function copyByHand(text) {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "visually-hidden";
  const before = document.activeElement;
  (before?.closest?.("dialog") ?? document.body).append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  before?.focus?.();
  if (!done) throw new Error("This browser lets no page copy. Choose the text and copy it by hand.");
}
