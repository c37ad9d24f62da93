// The page of batches: the list, a new batch, and one batch.
import { useEffect, useRef } from './preact-hooks.js';
import { Bar, Busy, CurlButton, Heading, html, Pager, Problem, useTask } from './parts.js';
import { doneOf, failedOf, isOver, jobs, page } from './jobs.js';
import { Job, routeOf, State } from './job.js';
import { Order } from './order.js';
import { texts, when } from './texts.js';

const t = texts.batches;
const refresh = 5000; // milliseconds

// Batches shows the view that the address names: '' is the list, 'new' the form, else the ID of a job.
export function Batches({ view, on, list, draft, onDraft }) {
  if (!on) return html`<section aria-labelledby="batches-title"><${Heading} id="batches-title">${t.title}<//><p>${t.off}</p></section>`;
  const archives = list?.pacs ?? [];
  if (view === 'new') return html`<${Order} archives=${archives} draft=${draft} onDraft=${onDraft} />`;
  if (view !== '') return html`<${Job} key=${view} id=${view} />`;
  return html`<${List} />`;
}

function List() {
  const { state, run, stop } = useTask();
  const shown = state?.result ?? state?.previous;
  const offset = useRef(0);
  const load = (from = offset.current) => {
    offset.current = from;
    return run((signal) => jobs(from, signal));
  };
  useEffect(() => { load(); }, []);
  const active = shown?.jobs.some((job) => !isOver(job));
  const failed = state?.error;
  useEffect(() => {
    if (!active || failed) return undefined;
    const timer = setInterval(() => { if (!document.hidden) load(); }, refresh);
    return () => clearInterval(timer);
  }, [active, failed]);
  return html`<section aria-labelledby="batches-title" aria-busy=${Boolean(state?.busy && !shown)}>
    <${Heading} id="batches-title">${t.title}<//>
    <p class="quiet">${t.hint}</p>
    ${failed && html`<${Problem} error=${failed} /><p><button type="button" onClick=${() => load()}>${texts.tryAgain}</button></p>`}
    ${state?.busy && !shown && html`<${Busy} text=${texts.loading} onStop=${stop} />`}
    ${state?.stopped && html`<p><button type="button" onClick=${() => load()}>${texts.tryAgain}</button></p>`}
    ${shown && html`<p class="buttons"><a class="button main" href="#batches/new">${t.create}</a>
      <${CurlButton} of=${t.title} path="jobs" options=${{ parameters: { offset: offset.current || '', limit: page } }} /></p>`}
    ${shown?.jobs.length === 0 && offset.current === 0 && html`<p>${t.none}</p>`}
    ${shown?.jobs.length > 0 && html`<table class="rows jobs">
      <caption class="hidden">${t.title}</caption>
      <thead><tr><th scope="col">${t.columns.filed}</th><th scope="col">${t.columns.route}</th><th scope="col">${t.columns.state}</th>
        <th scope="col">${t.columns.progress}</th></tr></thead>
      <tbody>${shown.jobs.map((job) => html`<${Row} key=${job.job} job=${job} />`)}</tbody>
    </table>`}
    ${shown && (offset.current > 0 || shown.more) && html`<${Pager} of=${t.title} offset=${offset.current} size=${page} number=${shown.jobs.length}
      more=${shown.more} onChange=${load} />`}
  </section>`;
}

function Row({ job }) {
  const total = job.counts.items;
  const [done, failed] = [doneOf(job), failedOf(job)];
  return html`<tr>
    <td><a href=${`#batches/${job.job}`}>${when(job.filed_at)}</a> <span class="quiet small block">${job.filed_by}</span></td>
    <td>${routeOf(job)}</td>
    <td><${State} job=${job} /></td>
    <td><span class="line">
      <${Bar} label=${t.progressOf(when(job.filed_at))} value=${done} max=${total} state=${isOver(job) && failed > 0 ? 'partial' : ''} />
      <span class="small">${t.done(done, total)}${failed > 0 && html`, <span class="bad">${job.dry_run ? t.notFound(failed) : t.failed(failed)}</span>`}</span></span></td>
  </tr>`;
}
