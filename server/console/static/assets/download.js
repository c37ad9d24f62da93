// Downloads of studies and series as zip files.
import { useEffect, useState } from './preact-hooks.js';
import { Failure, isStop, request } from './api.js';
import { Bar, CurlButton, html, Problem, useTask } from './parts.js';
import { texts } from './texts.js';

const t = texts.download;
const headers = { Accept: 'application/zip' };
const block = 16 << 20; // bytes after which the browser may keep what has arrived in a file of its own

// Entries counts the files of a zip archive while it arrives: local file headers (APPNOTE 4.3.7) of stored files with a name.
export class Entries {
  count = 0;
  #rest = new Uint8Array(0);

  add(chunk) {
    const bytes = new Uint8Array(this.#rest.length + chunk.length);
    bytes.set(this.#rest);
    bytes.set(chunk, this.#rest.length);
    const size = 30;
    let at = bytes.indexOf(0x50);
    while (at !== -1 && at + size <= bytes.length) {
      const nameLength = bytes[at + 26] | (bytes[at + 27] << 8);
      if (bytes[at + 1] === 0x4b && bytes[at + 2] === 3 && bytes[at + 3] === 4 && bytes[at + 9] === 0 && nameLength > 0 && nameLength < 256) {
        this.count += 1;
      }
      at = bytes.indexOf(0x50, at + 1);
    }
    this.#rest = at === -1 ? new Uint8Array(0) : bytes.slice(at);
  }
}

// endsAsArchive reports whether bytes end with the end of the central directory without a comment (APPNOTE 4.3.16).
export function endsAsArchive(bytes) {
  const at = bytes.length - 22;
  return at >= 0 && bytes[at] === 0x50 && bytes[at + 1] === 0x4b && bytes[at + 2] === 5 && bytes[at + 3] === 6;
}

class Incomplete extends Failure {}

// fetchArchive resolves to the archive as a Blob. It fails if the answer is broken off, or ends before the archive does.
async function fetchArchive(path, signal, onProgress) {
  const response = await request(path, { headers, signal });
  const reader = response.body.getReader();
  const entries = new Entries();
  let [chunks, size, bytes] = [[], 0, 0];
  let blobs = [];
  let tail = new Uint8Array(0);
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      if (isStop(error)) throw error;
      throw new Incomplete({ detail: t.incomplete, hint: t.incompleteHint, correlation_id: response.headers.get('X-Correlation-ID') });
    }
    if (part.done) break;
    const chunk = part.value;
    entries.add(chunk);
    chunks.push(chunk);
    size += chunk.length;
    bytes += chunk.length;
    tail = chunk.length >= 22 ? chunk.slice(-22) : new Uint8Array([...tail, ...chunk]).slice(-22);
    if (size >= block) {
      blobs = [...blobs, new Blob(chunks)];
      [chunks, size] = [[], 0];
    }
    onProgress({ done: entries.count, bytes });
  }
  if (!endsAsArchive(tail)) throw new Incomplete({ detail: t.incomplete, hint: `${t.cutShort} ${t.incompleteHint}` });
  return { blob: new Blob([...blobs, ...chunks], { type: 'application/zip' }), done: entries.count, bytes };
}

export function save(blob, file) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

export function Download({ what, path, total, file, onClose }) {
  const { state, run, stop } = useTask();
  const [progress, setProgress] = useState(null);
  const start = () => {
    setProgress(null);
    run(async (signal) => {
      let drawn = 0;
      const archive = await fetchArchive(path, signal, (now) => {
        if (performance.now() - drawn < 100) return;
        drawn = performance.now();
        setProgress(now);
      });
      save(archive.blob, file);
      return { done: archive.done, bytes: archive.bytes };
    });
  };
  useEffect(start, []);
  const title = t.title(what);
  return html`<div class="task" role="group" aria-label=${title}>
    <p class="strong">${title}</p>
    ${state?.busy && html`<div class="line">
      <${Bar} label=${title} value=${progress?.done ?? 0} max=${progress && total} />
      <span>${progress ? t.running(progress.done, total, progress.bytes) : t.waiting}</span>
      <button type="button" class="small" onClick=${stop}>${texts.stop}</button>
    </div>`}
    ${state?.result && html`<p class="good" role="status">${t.complete(state.result.done, state.result.bytes)}</p>`}
    ${state?.stopped && html`<p role="status">${t.stopped}</p>`}
    ${state?.error && html`<${Problem} error=${state.error} title=${state.error instanceof Incomplete ? '' : t.incomplete} />`}
    <p class="buttons">
      ${(state?.error || state?.stopped) && html`<button type="button" class="small" onClick=${start}>${texts.tryAgain}</button>`}
      ${!state?.busy && html`<button type="button" class="small" onClick=${onClose}>${texts.close}</button>`}
      <${CurlButton} of=${title} path=${path} options=${{ headers, output: file }} />
    </p>
  </div>`;
}
