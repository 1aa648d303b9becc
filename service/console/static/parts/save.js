/** Saves an answer as a file: as it comes where the browser can write files, else from memory. */

export async function save(answer, name, onBytes = () => {}) {
  let seen = 0;
  const counted = answer.body.pipeThrough(new TransformStream({
    transform(part, controller) {
      seen += part.byteLength;
      onBytes(seen);
      controller.enqueue(part);
    },
  }));
  if (window.showSaveFilePicker && !navigator.webdriver) {
    let file;
    try {
      file = await (await window.showSaveFilePicker({ suggestedName: name })).createWritable();
    } catch (error) {
      await counted.cancel();
      if (error.name === "AbortError") return;
      throw error;
    }
    await counted.pipeTo(file);
    return;
  }
  const url = URL.createObjectURL(await new Response(counted).blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
