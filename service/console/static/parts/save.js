/** Saves an answer as a file: as it comes where the browser can write files, else from memory. */

/**
 * `ask` resolves to the answer; where the browser asks for a place it does so first, while the click counts. Resolves to
 * the bytes, or to null where nobody chose a place. An answer that is cut off is an error.
 */
export async function save(ask, name, onBytes = () => {}) {
  let file = null;
  if (window.showSaveFilePicker && !navigator.webdriver) {
    try {
      file = await (await window.showSaveFilePicker({ suggestedName: name })).createWritable();
    } catch (error) {
      if (error.name === "AbortError") return null;
      throw error;
    }
  }
  let answer;
  try {
    answer = await ask();
  } catch (error) {
    await file?.abort();
    throw error;
  }
  let seen = 0;
  const counted = answer.body.pipeThrough(new TransformStream({
    transform(part, controller) {
      seen += part.byteLength;
      onBytes(seen);
      controller.enqueue(part);
    },
  }));
  if (file) await whole(counted.pipeTo(file));
  else offer(await whole(new Response(counted).blob()), name);
  return seen;
}

function offer(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

async function whole(read) {
  try {
    return await read;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The download was cut off before its end; nothing is saved. Try again.");
  }
}

/** Saves a text that is here already. */
export const saveText = (text, name) => offer(new Blob([text], { type: "text/plain" }), name);
