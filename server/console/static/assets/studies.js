// The table of studies.
import { useState } from './preact-hooks.js';
import { studies as counted, texts } from './texts.js';
import { label } from './dicom.js';
import { Busy, html, Problem, Warnings } from './parts.js';
import { titleOf } from './pacs.js';
import { Download } from './download.js';
import { SeriesList } from './series.js';

const t = texts.found;
const c = t.columns;

// viewerURL puts PACS and study into the URL of the viewer.
function viewerURL(viewer, pacs, uid) {
  return viewer.replaceAll('{pacs}', encodeURIComponent(pacs.name)).replaceAll('{study}', encodeURIComponent(uid));
}

export function Studies({ pacs, task, found, onMore, selected, onSelect, onMove, viewer }) {
  const { state, stop } = task;
  const { studies, more, warnings } = found;
  const shown = studies.length > 0 || state?.result;
  const toggle = (study) => onSelect(selected.includes(study.uid) ? selected.filter((uid) => uid !== study.uid) : [...selected, study.uid]);
  const all = studies.length > 0 && selected.length === studies.length;
  return html`<section aria-labelledby="found-title" aria-busy=${Boolean(state?.busy)}>
    <h2 id="found-title">${t.title}</h2>
    ${shown && html`<p class="quiet">${t.hint}</p>`}
    ${state?.error && html`<${Problem} error=${state.error} />`}
    ${state?.stopped && html`<p role="status">${texts.stopped}</p>`}
    <${Warnings} list=${warnings} />
    ${state?.result && html`<p role="status" class="strong">${studies.length ? t.number(studies.length, more) : t.none}</p>`}
    ${state?.result && studies.length === 0 && html`<p class="quiet">${t.noneHint}</p>`}
    ${studies.length > 0 && html`<table class="studies">
      <caption class="hidden">${counted(studies.length)}</caption>
      <thead><tr>
        <th scope="col"><input type="checkbox" aria-label=${t.selectAll} checked=${all} onChange=${() => onSelect(all ? [] : studies.map(({ uid }) => uid))} /></th>
        <th scope="col">${c.patient}</th><th scope="col">${c.date}</th><th scope="col">${c.description}</th><th scope="col">${c.modalities}</th>
        <th scope="col" class="number">${c.series}</th><th scope="col" class="number">${c.images}</th><th scope="col">${c.actions}</th>
      </tr></thead>
      ${studies.map((study) => html`<${Study} key=${study.uid} ...${{ pacs, study, viewer, onMove }} selected=${selected.includes(study.uid)}
        onToggle=${() => toggle(study)} />`)}
    </table>`}
    ${state?.busy && html`<${Busy} text=${texts.asking(titleOf(pacs))} onStop=${stop} />`}
    ${more && !state?.busy && html`<p><button type="button" onClick=${onMore}>${t.more}</button></p>`}
  </section>`;
}

function Study({ pacs, study, selected, onToggle, onMove, viewer }) {
  const [open, setOpen] = useState(false);
  const [downloading, setDownloading] = useState(0);
  const name = label(study);
  const id = `study-${study.uid.replaceAll('.', '-')}`;
  const known = (n) => (n === null ? html`<span class="quiet" title=${t.unknown}>–<span class="hidden">${t.unknown}</span></span>` : n.toLocaleString('en'));
  const path = pacs.name && `dicomweb/${encodeURIComponent(pacs.name)}/studies/${study.uid}`;
  return html`<tbody class=${selected ? 'selected' : ''}>
    <tr>
      <td class="pick"><input type="checkbox" checked=${selected} onChange=${onToggle} aria-label=${t.select(name)} /></td>
      <td data-label=${c.patient}><b>${study.name || t.unnamed}</b>
        <span class="quiet small block">${study.patientID} <span class="nowrap">${study.born && t.born(study.born)}</span></span></td>
      <td data-label=${c.date} class="nowrap">${study.date || html`<span class="quiet">${t.undated}</span>`} <span class="quiet small">${study.time}</span></td>
      <td data-label=${c.description}>${study.description || html`<span class="quiet">${t.undescribed}</span>`}
        ${study.accession && html` <span class="quiet small block nowrap">${t.accession(study.accession)}</span>`}</td>
      <td data-label=${c.modalities}>${study.modalities.length ? study.modalities.map((m) => html`<span class="badge">${m}</span> `) : known(null)}</td>
      <td data-label=${c.series} class="number">${known(study.series)}</td>
      <td data-label=${c.images} class="number">${known(study.images)}</td>
      <td class="actions">
        ${path && html`<button type="button" class="small" aria-expanded=${open} aria-controls=${id} aria-label=${open ? t.hideOf(name) : t.showOf(name)}
          onClick=${() => setOpen(!open)}>${open ? t.hide : t.show}</button>`}
        ${path && viewer && html`<a class="button small" href=${viewerURL(viewer, pacs, study.uid)} target="_blank" rel="noreferrer"
          aria-label=${t.viewerOf(name)}>${t.viewer}</a>`}
        ${path && html`<button type="button" class="small" aria-label=${texts.download.of(name)} onClick=${() => setDownloading((n) => n + 1)}>${texts.download.button}</button>`}
        <button type="button" class="small" aria-label=${texts.move.of(name)} onClick=${() => onMove(study)}>${texts.move.button}</button>
      </td>
    </tr>
    ${downloading > 0 && html`<tr class="more"><td colspan="8">
      <${Download} key=${downloading} what=${name} path=${path} total=${study.images} file=${fileName(study)} onClose=${() => setDownloading(0)} />
    </td></tr>`}
    <tr class="more" id=${id} hidden=${!open}><td colspan="8">${open && html`<${SeriesList} path=${path} study=${study} />`}</td></tr>
  </tbody>`;
}

// fileName has no patient data: files of downloads are often left lying about.
const fileName = ({ date, modalities, uid }) => `${['study', date, ...modalities, uid.slice(-6)].filter(Boolean).join('-').replace(/[^\w.-]/g, '_')}.zip`;
