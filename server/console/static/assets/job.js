// One batch: its progress while it runs, its items page by page, and what can be done with it.
import { useEffect, useRef, useState } from './preact-hooks.js';
import { Bar, Busy, CurlButton, Dialog, Heading, html, Pager, Problem, useTask } from './parts.js';
import { cancel, doneOf, failedOf, follow, isOver, items, page, pathOf, remove, resultOf, retry } from './jobs.js';
import { date, label } from './dicom.js';
import { save } from './download.js';
import { images, studies, texts, when } from './texts.js';

const t = texts.job;
const csv = { Accept: 'text/csv' };
const redraw = 250; // milliseconds between two drawings of events
const shownStudies = 3;
const reread = 3000; // milliseconds between two readings of the job: events do not say what begins

export const routeOf = (job) => (job.dry_run ? t.dryRoute(job.pacs) : t.route(job.pacs, job.c_move_ae_title));

// State says in a word where a job stands. A finished job can have failed items.
export function State({ job }) {
  const good = failedOf(job) > 0 ? 'partial' : 'ok';
  return html`<b class=${`state ${job.state === 'finished' ? good : job.state}`}>${texts.batches.states[job.state] ?? job.state}</b>`;
}

// useFollowed returns the items of a page, and the job as its events make it. Events are drawn together, because a job can have many a
// second.
function useFollowed(id, offset, state) {
  const task = useTask();
  const [shown, setShown] = useState(null);
  const [live, setLive] = useState(true);
  const [run, setRun] = useState(0); // counts up when the events have to be followed again
  const load = () => task.run(async (signal) => {
    const answered = await items(id, offset, state, signal);
    setShown(answered);
    return answered;
  });
  const latest = useRef(null);
  latest.current = load;
  useEffect(() => { load(); }, [id, offset, state]);
  useEffect(() => {
    const controller = new AbortController();
    let [changed, job, drawing, reading] = [new Map(), null, 0, 0];
    const again = () => { reading ||= setTimeout(() => { reading = 0; latest.current(); }, reread); };
    const draw = () => {
      const [now, record] = [changed, job];
      [changed, job, drawing] = [new Map(), null, 0];
      setShown((old) => old && { ...old, ...record, items: old.items.map((item) => now.get(item.item) ?? item) });
    };
    const onEvent = ({ type, data }) => {
      if (type === 'item' || type === 'waiting') {
        changed.set(data.item, data);
        again();
      } else {
        job = data;
      }
      drawing ||= setTimeout(draw, redraw);
      if (type === 'finished') latest.current();
    };
    follow(id, controller.signal, onEvent, (connected) => {
      setLive(connected);
      again();
    }).catch(() => setLive(false));
    return () => {
      controller.abort();
      clearTimeout(drawing);
      clearTimeout(reading);
    };
  }, [id, run]);
  return { task, shown, live, load, restart: () => setRun((n) => n + 1), setShown };
}

export function Job({ id }) {
  const [place, setPlace] = useState({ offset: 0, state: '' });
  const { task, shown, live, load, restart, setShown } = useFollowed(id, place.offset, place.state);
  const { state, stop } = task;
  return html`<section aria-labelledby="job-title" aria-busy=${Boolean(state?.busy && !shown)}>
    <p><a href="#batches">${t.back}</a></p>
    <${Heading} id="job-title">${shown ? t.title(when(shown.filed_at)) : t.titleOf}<//>
    ${state?.error && html`<${Problem} error=${state.error} /><p><button type="button" onClick=${load}>${texts.tryAgain}</button></p>`}
    ${state?.busy && !shown && html`<${Busy} text=${texts.loading} onStop=${stop} />`}
    ${state?.stopped && html`<p><button type="button" onClick=${load}>${texts.tryAgain}</button></p>`}
    ${shown && html`<${Summary} job=${shown} live=${live} />
      <${Actions} job=${shown} onChange=${(job) => { setShown((old) => ({ ...old, ...job, items: old.items })); load(); restart(); }} />
      <${Items} job=${shown} place=${place} onPlace=${setPlace} />`}
  </section>`;
}

function Summary({ job, live }) {
  const total = job.counts.items;
  const done = doneOf(job);
  const facts = [
    [t.facts.route, routeOf(job)],
    [t.facts.filedBy, job.filed_by],
    [t.facts.notBefore, job.not_before && when(job.not_before)],
    [t.facts.window, job.window],
    [t.facts.priority, job.priority && job.priority !== 'normal' && texts.order.priorities[job.priority]],
    [t.facts.finished, job.finished_at && when(job.finished_at)],
    [t.facts.expires, job.expires_at && when(job.expires_at)],
    [t.facts.run, job.run > 1 && String(job.run)],
    [t.facts.id, job.job],
  ].filter(([, value]) => value);
  return html`<div class="task">
    <p class="line"><span role="status"><${State} job=${job} /></span>
      <${Bar} label=${t.progress} value=${done} max=${total} state=${isOver(job) && failedOf(job) > 0 ? 'partial' : ''} />
      <span>${texts.batches.done(done, total)}</span></p>
    ${job.state === 'finished' && html`<p class=${`strong ${failedOf(job) > 0 ? 'bad' : 'good'}`}>${outcomeOf(job)}</p>`}
    ${job.state === 'cancelled' && html`<p class="strong">${t.cancelled(job.counts.moved, total)}</p>`}
    ${!live && !isOver(job) && html`<p class="notice caution" role="status">${t.notLive}</p>`}
    <dl class="facts">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
  </div>`;
}

function outcomeOf(job) {
  const { counts } = job;
  const failed = failedOf(job);
  if (job.dry_run) return failed > 0 ? t.foundSome(counts.found, counts.items) : t.foundAll(counts.items);
  return failed > 0 ? t.movedSome(counts.moved, counts.items) : t.movedAll(counts.items, job.c_move_ae_title);
}

function Actions({ job, onChange }) {
  const task = useTask();
  const { state, run } = task;
  const [question, setQuestion] = useState('');
  const { failed, partial, cancelled } = job.counts;
  const again = failed + partial + cancelled; // an item that matched no study stays as it is
  const act = (work, then = onChange) => run(async (signal) => then(await work(job.job, signal)));
  const sure = { cancel: () => act(cancel), remove: () => act(remove, () => { location.hash = '#batches'; }) };
  const result = () => act(resultOf, (blob) => save(blob, `batch-${job.job}.csv`));
  return html`<div>
    <p class="buttons">
      ${!isOver(job) && html`<button type="button" disabled=${state?.busy} onClick=${() => setQuestion('cancel')}>${t.cancel}</button>`}
      ${isOver(job) && again > 0 && html`<button type="button" class="main" disabled=${state?.busy} onClick=${() => act(retry)}>${t.retry(again)}</button>`}
      <button type="button" disabled=${state?.busy} onClick=${result}>${t.result}</button>
      ${isOver(job) && html`<button type="button" disabled=${state?.busy} onClick=${() => setQuestion('remove')}>${t.remove}</button>`}
      <${CurlButton} of=${t.result} path=${pathOf(job.job)} options=${{ headers: csv, output: `batch-${job.job}.csv` }} />
    </p>
    ${state?.error && html`<${Problem} error=${state.error} />`}
    ${question && html`<${Dialog} title=${t.sure[question].title} onClose=${() => setQuestion('')}>
      <p>${t.sure[question].text}</p>
      <form method="dialog" class="buttons"><button class="main" onClick=${sure[question]}>${t.sure[question].yes}</button><button>${t.sure[question].no}</button></form>
    <//>`}
  </div>`;
}

function Items({ job, place, onPlace }) {
  const { counts } = job;
  const states = Object.keys(t.states).filter((name) => counts[name] > 0 || name === place.state);
  const total = place.state === '' ? counts.items : job.total;
  const keys = ['patient_id', 'accession_number', 'study_instance_uid'].filter((key) => job.items.some((item) => item[key]));
  const filter = (state, text, number) => html`<button key=${state} type="button" class="small" aria-pressed=${place.state === state}
    onClick=${() => onPlace({ offset: 0, state })}>${text} <b>${number.toLocaleString('en')}</b></button>`;
  return html`<div class="items">
    <h3 id="items-title">${t.items}</h3>
    <div class="buttons filter" role="group" aria-label=${t.filter}>
      ${filter('', t.all, counts.items)}
      ${states.map((state) => filter(state, t.states[state], counts[state]))}
    </div>
    ${job.items.length === 0 && html`<p>${t.noItems}</p>`}
    ${job.items.length > 0 && html`<table class="rows" aria-labelledby="items-title">
      <thead><tr><th scope="col" class="number">${t.columns.item}</th>${keys.map((key) => html`<th key=${key} scope="col">${texts.order.columns[key]}</th>`)}
        <th scope="col">${t.columns.state}</th><th scope="col">${t.columns.outcome}</th></tr></thead>
      <tbody>${job.items.map((item) => html`<${Item} key=${item.item} item=${item} keys=${keys} />`)}</tbody>
    </table>`}
    ${(total > page || place.offset > 0) && html`<${Pager} of=${t.items} offset=${place.offset} size=${page} number=${job.items.length} total=${total}
      more=${place.offset + job.items.length < total} onChange=${(offset) => onPlace({ ...place, offset })} />`}
  </div>`;
}

const sum = (retrievals, ...names) => retrievals.reduce((all, retrieval) => all + names.reduce((n, name) => n + (retrieval[name] ?? 0), 0), 0);

function Item({ item, keys }) {
  const { retrievals = [] } = item;
  const found = item.studies ?? [];
  const failed = sum(retrievals, 'failed');
  return html`<tr>
    <td class="number">${item.item.toLocaleString('en')}</td>
    ${keys.map((key) => html`<td key=${key} data-label=${keys.length > 1 ? texts.order.columns[key] : undefined} class=${key === 'study_instance_uid' ? 'small' : ''}>${item[key]}</td>`)}
    <td><b class=${`state ${colours[item.state] ?? item.state}`}>${t.states[item.state] ?? item.state}</b>
      ${item.attempts > 1 && html`<span class="quiet small block">${t.attempts(item.attempts)}</span>`}</td>
    <td>${retrievals.length > 0 && html`<span class="block">${studies(retrievals.length)}, ${images(sum(retrievals, 'completed', 'warning'))}${failed > 0
        && html`, <span class="bad">${texts.move.failedImages(failed)}</span>`}</span>`}
      ${found.slice(0, shownStudies).map((study) => html`<span key=${study.StudyInstanceUID} class="block">${label({ description: study.StudyDescription,
        date: date(study.StudyDate) })} <span class="quiet">${study.ModalitiesInStudy.join(', ')}</span></span>`)}
      ${found.length > shownStudies && html`<span class="block">${t.moreStudies(found.length - shownStudies)}</span>`}
      ${item.next_attempt_at && html`<span class="block">${t.next(when(item.next_attempt_at))}</span>`}
      ${item.detail && html`<span class="block">${item.detail}</span>`}
      ${item.hint && html`<span class="quiet small block">${item.hint}</span>`}
    </td>
  </tr>`;
}

const colours = { moved: 'ok', found: 'ok', no_study_matched: 'failed' };
