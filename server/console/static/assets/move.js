// Moving studies to a destination, with the progress of each.
import { useEffect, useRef, useState } from './preact-hooks.js';
import { CutOffError, ReplyError } from './client/index.js';
import { Failure, failureOf, gateway, isStop } from './api.js';
import { label } from './dicom.js';
import { Bar, CurlButton, Destination, html, Problem } from './parts.js';
import { fieldsOf, titleOf } from './pacs.js';
import { texts } from './texts.js';

const t = texts.move;
const headers = { Accept: 'text/event-stream' };

// groupsOf puts the studies of one patient together, because a request is for one patient.
function groupsOf(studies) {
  const groups = new Map();
  for (const study of studies.filter(({ patientID }) => patientID)) {
    const id = JSON.stringify([study.patientID, study.issuer]);
    groups.set(id, [...groups.get(id) ?? [], study]);
  }
  return [...groups.values()];
}

const bodyOf = (pacs, group, destination) => ({
  ...fieldsOf(pacs),
  patient_id: group[0].patientID,
  ...(group[0].issuer ? { issuer_of_patient_id: group[0].issuer } : {}),
  study_instance_uids: group.map(({ uid }) => uid),
  c_move_ae_title: destination,
});

const counted = (...numbers) => numbers.reduce((sum, n) => sum + (n ?? 0), 0);

// follow moves the studies of one patient, and calls report(uid, change) as they go on.
async function follow(body, signal, report) {
  try {
    for await (const { type, data } of gateway.follow(body, { signal })) {
      if (type === 'matched') {
        const matched = data.study_details.map((study) => study.StudyInstanceUID);
        for (const uid of body.study_instance_uids.filter((uid) => !matched.includes(uid))) report(uid, { state: 'not_attempted' });
      } else if (type === 'progress') {
        const { completed, warning, failed, remaining } = data;
        report(data.StudyInstanceUID, { state: 'moving', done: counted(completed, warning), failed: failed ?? 0, total: counted(completed, warning, failed, remaining) });
      } else if (type === 'retrieved') {
        const { completed, warning, failed } = data;
        report(data.StudyInstanceUID, { state: data.status, ...(completed === null ? {} : { done: counted(completed, warning) }), failed: failed ?? 0 });
      }
    }
  } catch (error) {
    if (error instanceof CutOffError || (error instanceof ReplyError && error.status < 400)) {
      throw new Failure({ detail: t.cutOff, hint: t.cutOffHint });
    }
    throw failureOf(error);
  }
}

export function Move({ pacs, studies, destinations, onClear, onBusy, onBatch }) {
  const [destination, setDestination] = useState('');
  const [fault, setFault] = useState('');
  const [job, setJob] = useState(null);
  const field = useRef(null);
  const controller = useRef(null);
  useEffect(() => { field.current?.focus(); }, []);
  useEffect(() => () => controller.current?.abort(), []);

  const start = async (event) => {
    event.preventDefault();
    const to = destination.trim();
    if (to === '') {
      setFault(t.needsDestination);
      field.current.focus();
      return;
    }
    setFault('');
    controller.current = new AbortController();
    const { signal } = controller.current;
    const rows = new Map(studies.map((study) => [study.uid, { study, state: study.patientID ? 'waiting' : 'not_attempted', total: study.images, done: 0, failed: 0 }]));
    const draw = (more) => setJob({ rows: [...rows.values()], to, ...more });
    const report = (uid, change) => {
      if (rows.has(uid)) rows.set(uid, { ...rows.get(uid), ...change });
      draw({ busy: true });
    };
    draw({ busy: true });
    onBusy(true);
    const errors = [];
    for (const group of groupsOf(studies)) {
      try {
        await follow(bodyOf(pacs, group, to), signal, report);
      } catch (error) {
        if (!isStop(error)) errors.push(error);
        for (const { uid } of group) {
          const { state } = rows.get(uid);
          const unclear = error instanceof Failure && error.problem.detail === t.cutOff ? 'unknown' : 'failed';
          if (state === 'moving' || state === 'waiting') rows.set(uid, { ...rows.get(uid), state: isStop(error) ? 'stopped' : unclear });
        }
      }
      if (signal.aborted) break;
    }
    for (const [uid, row] of rows) if (row.state === 'waiting') rows.set(uid, { ...row, state: signal.aborted ? 'stopped' : 'not_attempted' });
    onBusy(false);
    draw({ busy: false, errors, stopped: signal.aborted });
  };

  const groups = groupsOf(studies);
  const done = job?.rows.filter(({ state }) => state === 'ok').length;
  return html`<section aria-labelledby="move-title" class="move">
    <h2 id="move-title">${t.title}</h2>
    <p class="quiet">${t.hint(titleOf(pacs))}</p>
    <form onSubmit=${start}>
      <p class="strong">${t.selected(studies.length)}</p>
      <ul class="plain">${studies.map((study) => html`<li key=${study.uid}>${label(study)} <span class="quiet">${study.name}</span>
        ${!study.patientID && html` <span class="bad">${t.noPatientID}</span>`}</li>`)}</ul>
      <div class="fields">
        <${Destination} id="destination" input=${field} value=${destination} onChange=${setDestination} known=${destinations} invalid=${fault !== ''} />
      </div>
      ${fault && html`<p class="notice bad" role="alert">${fault}</p>`}
      <p class="buttons">
        <button class="main" disabled=${job?.busy || groups.length === 0}>${t.button}</button>
        ${onBatch && html`<button type="button" disabled=${job?.busy} onClick=${() => onBatch(studies, destination.trim())}>${t.batch}</button>`}
        <button type="button" class="link" disabled=${job?.busy} onClick=${onClear}>${t.clear}</button>
        ${groups.map((group) => html`<${CurlButton} key=${group[0].patientID} of=${t.title} path="qr"
          options=${{ body: bodyOf(pacs, group, destination.trim()), headers, stream: true }} />`)}
      </p>
    </form>
    ${job && html`<div class="task" role="group" aria-label=${t.progress}>
      <ul class="plain">${job.rows.map((row) => html`<${Row} key=${row.study.uid} row=${row} />`)}</ul>
      ${job.busy && html`<p class="buttons"><span role="status">${t.running(job.rows.filter(({ state }) => state !== 'waiting' && state !== 'moving').length, job.rows.length)}</span>
        <button type="button" class="main stop" onClick=${() => controller.current.abort()}>${texts.stop}</button></p>`}
      ${!job.busy && html`<${Outcome} job=${job} done=${done} />`}
    </div>`}
  </section>`;
}

function Outcome({ job, done }) {
  const total = job.rows.length;
  if (done === total) return html`<p class="strong good" role="status">${t.complete(done, job.to)}</p>`;
  return html`<div>
    <p class="strong bad" role="status">${job.stopped ? t.stopped(done, total) : t.incomplete(done, total, job.to)}</p>
    ${job.errors.map((error) => html`<${Problem} error=${error} />`)}
  </div>`;
}

function Row({ row: { study, state, done, failed, total } }) {
  const name = label(study);
  const value = state === 'ok' ? total || 1 : done;
  return html`<li class="line">
    <span class="grow">${name}</span>
    <${Bar} label=${name} value=${value} max=${state === 'moving' && !total ? 0 : total || 1} state=${state} />
    <span class="quiet">${total ? t.counted(done, total) : ''}${failed > 0 ? `, ${t.failedImages(failed)}` : ''}</span>
    <b class=${`state ${state}`}>${t.states[state]}</b>
  </li>`;
}
