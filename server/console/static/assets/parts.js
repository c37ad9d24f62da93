// Small parts of the page.
import { h } from './preact.js';
import { useEffect, useRef, useState } from './preact-hooks.js';
import htm from './htm.js';
import { curl, Failure, isStop } from './api.js';
import { texts } from './texts.js';

export const html = htm.bind(h);

// Problem shows why something failed, and what to check.
export function Problem({ error, title }) {
  const problem = error instanceof Failure ? error.problem : { detail: texts.problem.unexpected, hint: texts.problem.reload };
  return html`<div class="notice bad" role="alert">
    ${title && html`<p class="strong">${title}</p>`}
    <p class=${title ? '' : 'strong'}>${problem.detail ?? problem.title}</p>
    ${problem.errors?.length > 0 && html`<ul>${problem.errors.map(({ pointer, detail }) => html`<li>${texts.problem.field(pointer, detail)}</li>`)}</ul>`}
    ${problem.hint && html`<p><b>${texts.problem.hint}:</b> ${problem.hint}</p>`}
    ${problem.correlation_id && html`<p class="quiet small">${texts.problem.id(problem.correlation_id)}</p>`}
  </div>`;
}

export function Warnings({ list }) {
  if (!list?.length) return null;
  return html`<div class="notice caution" role="status"><p class="strong">${texts.warnings}</p><ul>${list.map((text) => html`<li>${text}</li>`)}</ul></div>`;
}

// Busy says what the page waits for, for how long, and lets the person stop it.
export function Busy({ text, onStop }) {
  const [seconds, setSeconds] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setSeconds((s) => s + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  return html`<div class="busy">
    <span class="spinner" aria-hidden="true"></span>
    <span role="status">${text}…</span> ${seconds > 0 && html`<span class="quiet">${texts.elapsed(seconds)}</span>`}
    ${onStop && html`<button type="button" class="small" onClick=${onStop}>${texts.stop}</button>`}
  </div>`;
}

export function Bar({ label, value, max, state }) {
  return html`<progress class=${state ?? ''} aria-label=${label} max=${max || 1} value=${max ? Math.min(value, max) : undefined}></progress>`;
}

// Heading gets the focus when the person comes to its view, so that screen readers say where they are.
export function Heading({ id, children }) {
  const heading = useRef(null);
  useEffect(() => { heading.current.focus({ preventScroll: true }); }, []);
  return html`<h2 id=${id} ref=${heading} tabindex="-1">${children}</h2>`;
}

// Pager goes through pages of size rows. number is how many rows this page has, total how many there are, if that is known.
export function Pager({ of, offset, size, number, total, more, onChange }) {
  const p = texts.pager;
  return html`<nav class="buttons" aria-label=${p.pages(of)}>
    <button type="button" disabled=${offset === 0} onClick=${() => onChange(Math.max(0, offset - size))}>${p.previous}</button>
    <span role="status">${p.range(number && offset + 1, offset + number, total)}</span>
    <button type="button" disabled=${!more} onClick=${() => onChange(offset + size)}>${p.next}</button>
    ${total > 4 * size && html`<button type="button" class="link" disabled=${!more} onClick=${() => onChange(Math.floor((total - 1) / size) * size)}>
      ${p.last}</button>`}
  </nav>`;
}

// Dialog is modal while it is shown. onClose is called however it is closed.
export function Dialog({ title, onClose, children, wide }) {
  const dialog = useRef(null);
  useEffect(() => { dialog.current.showModal(); }, []);
  return html`<dialog ref=${dialog} class=${wide ? 'wide' : ''} aria-label=${title} onClose=${onClose}>
    <h2>${title}</h2>
    ${children}
  </dialog>`;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // not permitted, or the page came by plain HTTP
  }
}

// CurlButton copies the command that sends a request; of describes it to screen readers.
export function CurlButton({ of, path, options }) {
  const [copied, setCopied] = useState(false);
  const [shown, setShown] = useState('');
  const click = async () => {
    const command = curl(path, options);
    if (!await copy(command)) {
      setShown(command);
      return;
    }
    setCopied(true);
    setTimeout(() => setCopied(false), 3000);
  };
  return html`<button type="button" class="link small" aria-label=${texts.curl.of(of)} onClick=${click}>${copied ? texts.curl.copied : texts.curl.button}</button>
    <span class="hidden" role="status">${copied ? texts.curl.copied : ''}</span>
    ${shown && html`<${Dialog} title=${texts.curl.title} onClose=${() => setShown('')} wide>
      <p>${texts.curl.hint}</p>
      <textarea readonly rows="8" aria-label=${texts.curl.title} onFocus=${(e) => e.target.select()}>${shown}</textarea>
      <form method="dialog"><button>${texts.close}</button></form>
    <//>`}`;
}

// Field is a labelled input of a form whose values are an object.
export function Field({ label, name, values, onChange, hint, type = 'text', ...rest }) {
  const id = `field-${name}`;
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <input id=${id} type=${type} value=${values[name]} autocomplete="off" spellcheck=${false} aria-describedby=${hint ? `${id}-hint` : undefined}
      onInput=${(e) => onChange({ ...values, [name]: e.target.value })} ...${rest} />
    ${hint && html`<span id=${`${id}-hint`} class="quiet small">${hint}</span>`}
  </div>`;
}

// Destination is a field for the AE title that studies are moved to, with buttons for the PACS that are known.
export function Destination({ id, value, onChange, known, invalid, input }) {
  const m = texts.move;
  return html`<div class="field">
    <label for=${id}>${m.destination}</label>
    <input id=${id} ref=${input} value=${value} onInput=${(e) => onChange(e.target.value)} list=${`${id}s`} maxlength="16"
      autocomplete="off" spellcheck=${false} aria-describedby=${`${id}-hint`} aria-invalid=${invalid} />
    <datalist id=${`${id}s`}>${known.map(({ ae_title, name }) => html`<option key=${name} value=${ae_title}>${name}</option>`)}</datalist>
    <span id=${`${id}-hint`} class="quiet small">${m.destinationHint}</span>
    ${known.length > 0 && html`<p class="buttons">${known.map(({ ae_title, name }) => html`<button key=${name} type="button" class="small"
      aria-pressed=${value === ae_title} onClick=${() => onChange(ae_title)}>${ae_title}</button>`)}</p>`}
  </div>`;
}

// useTask runs one request at a time. state is null, or has busy, result or error; run replaces a running one. previous is the last
// result of a state without one.
export function useTask() {
  const [state, setState] = useState(null);
  const running = useRef(null);
  useEffect(() => () => running.current?.abort(), []);
  const stop = () => running.current?.abort();
  const clear = () => {
    stop();
    running.current = null;
    setState(null);
  };
  const run = async (work) => {
    stop();
    const controller = new AbortController();
    running.current = controller;
    setState((old) => ({ busy: true, previous: old?.result ?? old?.previous }));
    try {
      const result = await work(controller.signal);
      if (running.current === controller) setState({ result });
    } catch (error) {
      if (running.current !== controller) return;
      if (!isStop(error) && !(error instanceof Failure)) console.warn(error);
      setState((old) => ({ previous: old?.previous, ...(isStop(error) ? { stopped: true } : { error }) }));
    }
  };
  return { state, run, stop, clear };
}
