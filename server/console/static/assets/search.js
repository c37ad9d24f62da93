// The search form, and what a search returns.
import { useState } from './preact-hooks.js';
import { answer, gateway, json } from './api.js';
import { keysOf, studyOf, studyOfQuery } from './dicom.js';
import { CurlButton, Field, html } from './parts.js';
import { fieldsOf, isComplete } from './pacs.js';
import { texts } from './texts.js';

const t = texts.search;
const empty = { patientID: '', name: '', accession: '', from: '', to: '' };
export const page = 50; // studies that are asked for at once

// requestOf returns the request of a search: QIDO-RS for a named PACS, else /q.
export function requestOf(pacs, keys, offset = 0) {
  if (pacs.name) {
    return {
      path: `dicomweb/${encodeURIComponent(pacs.name)}/studies`,
      options: {
        parameters: {
          ...Object.fromEntries(Object.entries(keysOf(keys)).filter(([, value]) => value !== '' && value !== '-')),
          includefield: 'StudyDescription', limit: page + 1, offset: offset || '',
        },
        headers: { Accept: 'application/dicom+json' },
      },
    };
  }
  const { patientID, accession, from, to } = keys;
  return {
    path: 'q',
    options: {
      body: {
        ...fieldsOf(pacs),
        patient_id: patientID.trim(),
        ...(accession.trim() ? { accession_number: accession.trim() } : {}),
        ...(from ? { study_date_from: from } : {}),
        ...(to ? { study_date_to: to } : {}),
      },
    },
  };
}

// find resolves to {studies, more, warnings}.
export async function find(pacs, keys, offset, signal) {
  const { path, options } = requestOf(pacs, keys, offset);
  try {
    if (pacs.name) {
      const { data, warnings } = await json(path, { ...options, signal });
      return { studies: data.slice(0, page).map(studyOf), more: data.length > page, warnings };
    }
    const { study_details: studies, warnings } = await answer(gateway.query(options.body, { signal }));
    return { studies: studies.map(studyOfQuery), more: false, warnings: warnings.map(({ message, code }) => message ?? code) };
  } catch (error) {
    if (error.problem?.code !== 'no_study_matched') throw error;
    return { studies: [], more: false, warnings: (error.problem.warnings ?? []).map(({ message, code }) => message ?? code) };
  }
}

export function SearchForm({ pacs, onSearch }) {
  const [keys, setKeys] = useState(empty);
  const [fault, setFault] = useState('');
  const ready = isComplete(pacs);
  const submit = (event) => {
    event.preventDefault();
    const missing = !pacs.name && keys.patientID.trim() === '';
    setFault(missing ? t.needsPatient : '');
    if (!missing) onSearch(keys);
  };
  const request = requestOf(pacs, keys);
  return html`<section aria-labelledby="search-title" id="search">
    <h2 id="search-title">${t.title}</h2>
    <p class="quiet">${pacs.name ? t.hint : t.hintPatient}</p>
    <form onSubmit=${submit} role="search" aria-labelledby="search-title">
      <div class="fields">
        <${Field} label=${t.patientID} name="patientID" values=${keys} onChange=${setKeys} aria-required=${!pacs.name} />
        ${pacs.name && html`<${Field} label=${t.name} name="name" values=${keys} onChange=${setKeys} hint=${t.nameHint} />`}
        <${Field} label=${t.accession} name="accession" values=${keys} onChange=${setKeys} />
        <${Field} label=${t.from} name="from" type="date" values=${keys} onChange=${setKeys} />
        <${Field} label=${t.to} name="to" type="date" values=${keys} onChange=${setKeys} />
      </div>
      ${fault && html`<p class="notice bad" role="alert">${fault}</p>`}
      <p class="buttons">
        <button class="main" disabled=${!ready}>${t.button}</button>
        <button type="button" class="link" onClick=${() => setKeys(empty)}>${t.clear}</button>
        <${CurlButton} of=${t.title} ...${request} />
      </p>
    </form>
  </section>`;
}
