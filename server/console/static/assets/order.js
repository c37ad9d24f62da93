// Filing a batch: a list of studies, where they go, and when.
import { useMemo, useRef, useState } from './preact-hooks.js';
import { isStop } from './api.js';
import { columns, read, write } from './csv.js';
import { Busy, CurlButton, Destination, Field, Heading, html, Problem, useTask } from './parts.js';
import { file, newKey, orderOf } from './jobs.js';
import { items as counted, texts } from './texts.js';

const t = texts.order;
const shownRows = 5;
const largest = 4 << 20; // bytes of a file: 10,000 items are about 1 MB
export const emptyDraft = { text: '', name: '', pacs: '', destination: '', notBefore: '', windowFrom: '', windowTo: '', priority: 'normal' };

export function Order({ archives, draft, onDraft }) {
  const { state, run, stop } = useTask();
  const [fault, setFault] = useState('');
  const sent = useRef({ key: '', request: '' });
  const list = useMemo(() => read(draft.text), [draft.text]);
  const values = { ...draft, pacs: draft.pacs || archives[0]?.name || '' };
  const set = (change) => onDraft({ ...draft, ...change });
  const ready = list.items.length > 0 && list.faults.length === 0 && values.pacs !== '';

  const submit = (dryRun) => {
    const { windowFrom, windowTo, destination } = values;
    if (!ready) return setFault(list.faults.length > 0 ? t.needsFaultless : t.needsItems);
    if (Boolean(windowFrom) !== Boolean(windowTo)) return setFault(t.needsWindow);
    if (!dryRun && destination.trim() === '') {
      document.getElementById('batch-destination').focus();
      return setFault(texts.move.needsDestination);
    }
    setFault('');
    return run(async (signal) => {
      const order = orderOf(values, dryRun);
      const text = write(list);
      // The same request keeps its key, so that it is filed once although an answer was lost.
      const request = JSON.stringify([order, text]);
      if (sent.current.request !== request) sent.current = { request, key: newKey() };
      const job = await file(order, text, sent.current.key, signal);
      sent.current = { key: '', request: '' };
      if (!dryRun) onDraft({ ...emptyDraft, pacs: values.pacs, destination });
      location.hash = `#batches/${job.job}`;
    });
  };
  const fileName = draft.name || 'studies.csv';
  return html`<section aria-labelledby="order-title" class="order">
    <p><a href="#batches">${texts.job.back}</a></p>
    <${Heading} id="order-title">${t.title}<//>
    <p class="quiet">${t.hint}</p>
    <form onSubmit=${(e) => { e.preventDefault(); submit(false); }}>
      <${Source} draft=${draft} onChange=${set} />
      <${Preview} list=${list} />
      <div class="fields">
        <div class="field"><label for="batch-pacs">${t.pacs}</label>
          <select id="batch-pacs" value=${values.pacs} onChange=${(e) => set({ pacs: e.target.value })}>
            ${archives.map(({ name, description }) => html`<option key=${name} value=${name}>${[name, description].filter(Boolean).join(': ')}</option>`)}</select></div>
        <${Destination} id="batch-destination" value=${values.destination} onChange=${(destination) => set({ destination })}
          known=${archives.filter(({ name }) => name !== values.pacs)} invalid=${fault === texts.move.needsDestination} />
      </div>
      <details class="when" open=${Boolean(values.notBefore || values.windowFrom || values.windowTo || values.priority !== 'normal')}><summary>${t.when}</summary>
        <div class="fields">
          <${Field} label=${t.notBefore} name="notBefore" type="datetime-local" values=${values} onChange=${onDraft} hint=${t.notBeforeHint} />
          <${Field} label=${t.from} name="windowFrom" type="time" values=${values} onChange=${onDraft} hint=${t.windowHint} />
          <${Field} label=${t.to} name="windowTo" type="time" values=${values} onChange=${onDraft} />
          <div class="field"><label for="batch-priority">${t.priority}</label>
            <select id="batch-priority" value=${values.priority} onChange=${(e) => set({ priority: e.target.value })}>
              ${['high', 'normal', 'low'].map((name) => html`<option key=${name} value=${name}>${t.priorities[name]}</option>`)}</select></div>
        </div>
      </details>
      ${fault && html`<p class="notice bad" role="alert">${fault}</p>`}
      ${state?.error && html`<${Refusal} error=${state.error} list=${list} />`}
      ${state?.busy && html`<${Busy} text=${t.filing} onStop=${stop} />`}
      <p class="buttons">
        <button class="main" disabled=${state?.busy}>${t.button}</button>
        <button type="button" disabled=${state?.busy} onClick=${() => submit(true)} aria-describedby="dry-run-hint">${t.dryRun}</button>
        <${CurlButton} of=${t.title} path="jobs" options=${{ parameters: orderOf(values), headers: { 'Content-Type': 'text/csv' }, file: fileName }} />
      </p>
      <p class="quiet small" id="dry-run-hint">${t.dryRunHint}</p>
    </form>
  </section>`;
}

// Source takes the list as a file or as text. A file is not shown as text: it can be long.
function Source({ draft, onChange }) {
  const [over, setOver] = useState(false);
  const [fault, setFault] = useState('');
  const input = useRef(null);
  const take = async (chosen) => {
    if (!chosen) return;
    setFault(chosen.size > largest ? t.tooLarge : '');
    if (chosen.size > largest) return;
    try {
      onChange({ text: await chosen.text(), name: chosen.name });
    } catch (error) {
      if (!isStop(error)) setFault(t.unreadable);
    }
  };
  const drop = (event) => {
    event.preventDefault();
    setOver(false);
    take(event.dataTransfer.files[0]);
  };
  const drag = (inside) => (event) => {
    event.preventDefault();
    setOver(inside);
  };
  return html`<div class=${over ? 'drop over' : 'drop'} onDrop=${drop} onDragOver=${drag(true)} onDragLeave=${drag(false)}>
    <div class="field">
      <label for="batch-text">${t.list}</label>
      <span class="quiet small" id="batch-text-hint">${t.listHint} ${columns.map((name, i) => html`${i > 0 && ', '}<code>${name}</code>`)}.</span>
      ${draft.name === '' && html`<textarea id="batch-text" rows="6" spellcheck=${false} autocomplete="off" value=${draft.text} placeholder=${t.example}
        aria-describedby="batch-text-hint" onInput=${(e) => onChange({ text: e.target.value })}></textarea>`}
      ${draft.name !== '' && html`<p class="buttons"><output id="batch-text" class="strong">${draft.name}</output>
        <button type="button" class="small" onClick=${() => onChange({ text: '', name: '' })}>${t.removeFile}</button></p>`}
    </div>
    <p class="buttons"><button type="button" onClick=${() => input.current.click()}>${t.choose}</button> <span class="quiet">${t.orDrop}</span></p>
    <input type="file" ref=${input} hidden accept=".csv,.tsv,.txt,text/csv,text/plain" aria-label=${t.choose}
      onChange=${(e) => { take(e.target.files[0]); e.target.value = ''; }} />
    ${fault && html`<p class="notice bad" role="alert">${fault}</p>`}
  </div>`;
}

// Preview shows how the page reads the list.
function Preview({ list: { items, used, ignored, faults, more } }) {
  if (items.length === 0 && faults.length === 0) return null;
  return html`<div class="preview" role="group" aria-label=${t.preview}>
    ${faults.length > 0 && html`<${Faults} title=${t.faults} faults=${faults} more=${more} role="status" />`}
    ${faults.length === 0 && html`<p class="strong" role="status">${counted(items.length)}</p>`}
    ${ignored.length > 0 && html`<p class="quiet">${t.ignored(ignored.slice(0, 8).join(', '))}</p>`}
    ${faults.length === 0 && html`<table class="plainest"><caption class="hidden">${t.preview}</caption>
      <thead><tr>${used.map((name) => html`<th key=${name} scope="col">${t.columns[name]}</th>`)}</tr></thead>
      <tbody>${items.slice(0, shownRows).map((item) => html`<tr key=${item.line}>${used.map((name) => html`<td key=${name}>${item[name]}</td>`)}</tr>`)}</tbody>
    </table>`}
    ${faults.length === 0 && items.length > shownRows && html`<p class="quiet small">${t.moreRows(items.length - shownRows)}</p>`}
  </div>`;
}

function Faults({ title, faults, more, role = 'alert' }) {
  return html`<div class="notice bad" role=${role}><p class="strong">${title}</p>
    <ul>${faults.map(({ line, column, detail }, i) => html`<li key=${i}>${line && html`<b>${t.line(line, t.columns[column])}</b> `}${detail}</li>`)}
      ${more && html`<li>${t.moreFaults}</li>`}</ul></div>`;
}

// Refusal shows what the gateway says about the list.
function Refusal({ error, list }) {
  const faults = error.problem?.errors ?? [];
  if (!faults.some(({ line }) => line)) return html`<${Problem} error=${error} />`;
  return html`<${Faults} title=${error.problem.detail} faults=${faults.map((fault) => ({ ...fault, column: list.used[fault.column - 1] }))} />`;
}
