// The series of a study, each with a picture.
import { useEffect, useState } from './preact-hooks.js';
import { dataURL, Failure, isStop, json, request } from './api.js';
import { label, seriesOf } from './dicom.js';
import { Busy, CurlButton, Dialog, html, Problem, useTask } from './parts.js';
import { Download } from './download.js';
import { images, texts } from './texts.js';

const t = texts.series;

// At most this many pictures are asked for at once: each is a retrieval at the PACS.
const atOnce = 3;
let running = 0;
const waiting = [];

async function inTurn(work) {
  if (running >= atOnce) await new Promise((next) => waiting.push(next));
  running += 1;
  try {
    return await work();
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

export function SeriesList({ path, study }) {
  const { state, run, stop } = useTask();
  const load = () => run(async (signal) => {
    const { data } = await json(`${path}/series`, { headers: { Accept: 'application/dicom+json' }, signal });
    return data.map(seriesOf);
  });
  useEffect(() => { load(); }, [path]);
  return html`<div class="series-list" role="group" aria-label=${t.title(label(study))}>
    <p class="buttons"><span class="strong">${t.title(label(study))}</span>
      <${CurlButton} of=${t.title(label(study))} path=${`${path}/series`} options=${{ headers: { Accept: 'application/dicom+json' } }} /></p>
    ${state?.busy && html`<${Busy} text=${texts.loading} onStop=${stop} />`}
    ${state?.error && html`<${Problem} error=${state.error} />`}
    ${(state?.error || state?.stopped) && html`<button type="button" onClick=${load}>${texts.tryAgain}</button>`}
    ${state?.result?.length === 0 && html`<p>${t.none}</p>`}
    ${state?.result?.length > 0 && html`<ul class="series">
      ${state.result.map((series) => html`<${Series} key=${series.uid} path=${`${path}/series/${series.uid}`} series=${series} />`)}
    </ul>`}
  </div>`;
}

function Series({ path, series }) {
  const [downloading, setDownloading] = useState(0);
  const [large, setLarge] = useState(false);
  const title = series.description || (series.number === null ? t.unnumbered : t.number(series.number));
  return html`<li>
    <${Picture} path=${`${path}/thumbnail`} parameters=${{ viewport: '256,256' }} title=${title} onClick=${() => setLarge(true)} />
    <div class="about">
      <b>${title}</b>
      <span class="quiet small block">${[series.modality, series.images !== null && images(series.images)].filter(Boolean).join(', ')}</span>
      <span class="block"><button type="button" class="small" aria-label=${texts.download.of(title)} onClick=${() => setDownloading((n) => n + 1)}>
        ${texts.download.button}</button></span>
    </div>
    ${downloading > 0 && html`<${Download} key=${downloading} what=${title} path=${path} total=${series.images} file=${`series-${series.modality || 'images'}-${path.slice(-6)}.zip`}
      onClose=${() => setDownloading(0)} />`}
    ${large && html`<${Dialog} title=${title} onClose=${() => setLarge(false)} wide>
      <${Picture} path=${`${path}/rendered`} parameters=${{ viewport: '1024,1024' }} title=${title} />
      <form method="dialog" class="buttons"><button>${texts.close}</button>
        <${CurlButton} of=${t.picture(title)} path=${`${path}/rendered`} options=${{ headers: { Accept: 'image/jpeg' }, output: 'picture.jpg' }} /></form>
    <//>`}
  </li>`;
}

// Picture is a button if onClick is given.
function Picture({ path, parameters, title, onClick }) {
  const [state, setState] = useState({});
  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    inTurn(async () => {
      if (signal.aborted) return;
      const response = await request(path, { parameters, headers: { Accept: 'image/jpeg' }, signal });
      const src = await dataURL(response);
      if (!signal.aborted) setState({ src });
    }).catch((error) => {
      if (isStop(error) || signal.aborted) return;
      setState({ fault: error instanceof Failure ? error.message : texts.problem.unexpected });
    });
    return () => controller.abort();
  }, [path]);
  const { src, fault } = state;
  if (fault) return html`<span class="picture none"><span class="small">${t.notShown(fault)}</span></span>`;
  if (!src) return html`<span class="picture none"><span class="spinner" aria-hidden="true"></span><span class="hidden">${texts.loading}</span></span>`;
  const picture = html`<img src=${src} alt=${t.picture(title)} />`;
  if (!onClick) return html`<span class="picture large">${picture}</span>`;
  return html`<button type="button" class="picture" aria-label=${t.enlarge(title)} onClick=${onClick}>${picture}</button>`;
}
