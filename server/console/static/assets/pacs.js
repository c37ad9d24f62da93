// Choosing a PACS, and checking the connection to it.
import { useId } from './preact-hooks.js';
import { answer, gateway } from './api.js';
import { Busy, CurlButton, Field, html, Problem, useTask } from './parts.js';
import { texts } from './texts.js';

const t = texts.pacs;

export const unnamed = { host: '', port: '104', called: '', calling: 'GATEWAY', tls: false };

// fieldsOf returns the fields of a request that say which PACS it is for.
export function fieldsOf(pacs) {
  if (pacs.name) return { pacs: pacs.name };
  return {
    pacs_ip: pacs.host.trim(),
    pacs_port: Number(pacs.port),
    pacs_ae_title: pacs.called.trim(),
    c_find_ae_title: pacs.calling.trim(),
    ...(pacs.tls ? { pacs_tls: true } : {}),
  };
}

export const titleOf = (pacs) => pacs.name || pacs.called || pacs.host || t.other;
export const isComplete = (pacs) => Boolean(pacs.name || (pacs.host.trim() && Number(pacs.port) && pacs.called.trim() && pacs.calling.trim()));

function Choice({ id, chosen, onChoose, title, children }) {
  return html`<label class="choice">
    <input type="radio" name="pacs" value=${id} checked=${chosen} onChange=${onChoose} />
    <span><b>${title}</b> ${children}</span>
  </label>`;
}

export function Archive({ list, pacs, onChoose }) {
  const other = pacs && !pacs.name;
  return html`<section aria-labelledby="pacs-title">
    <h2 id="pacs-title">${t.title}</h2>
    <p class="quiet">${t.hint}</p>
    ${list.pacs.length === 0 && html`<p>${t.none}</p>`}
    <fieldset class="choices">
      <legend class="hidden">${t.legend}</legend>
      ${list.pacs.map((named) => html`<${Choice} key=${named.name} id=${named.name} title=${named.name} chosen=${pacs?.name === named.name}
        onChoose=${() => onChoose({ name: named.name })}>
        <span class="quiet">${named.description}</span> <span class="quiet small">${t.ae(named.ae_title)}</span>
      <//>`)}
      ${list.ad_hoc && html`<${Choice} id="" title=${t.other} chosen=${other} onChoose=${() => onChoose(unnamed)}>
        <span class="quiet">${t.otherHint}</span>
      <//>`}
    </fieldset>
    ${other && html`<div class="fields">
      <${Field} label=${t.host} name="host" values=${pacs} onChange=${onChoose} />
      <${Field} label=${t.port} name="port" values=${pacs} onChange=${onChoose} inputmode="numeric" />
      <${Field} label=${t.called} name="called" values=${pacs} onChange=${onChoose} maxlength="16" />
      <${Field} label=${t.calling} name="calling" values=${pacs} onChange=${onChoose} maxlength="16" hint=${t.callingHint} />
      <label class="tick"><input type="checkbox" checked=${pacs.tls} onChange=${(e) => onChoose({ ...pacs, tls: e.target.checked })} /> ${t.tls}</label>
    </div>
    <p class="quiet small">${t.limits}</p>`}
    ${pacs && html`<${Check} key=${JSON.stringify(pacs)} pacs=${pacs} />`}
  </section>`;
}

function Check({ pacs }) {
  const { state, run, stop } = useTask();
  const heading = useId();
  const body = fieldsOf(pacs);
  const start = () => run((signal) => answer(gateway.echo(body, { signal })));
  const c = texts.check;
  const checked = state?.result ?? state?.error?.problem;
  return html`<div class="check">
    <p class="buttons">
      <button type="button" disabled=${!isComplete(pacs)} onClick=${start}>${c.button}</button>
      ${isComplete(pacs) && html`<${CurlButton} of=${c.title} path="echo" options=${{ body }} />`}
      ${!isComplete(pacs) && html`<span class="quiet">${t.incomplete}</span>`}
    </p>
    ${state?.busy && html`<${Busy} text=${texts.asking(titleOf(pacs))} onStop=${stop} />`}
    ${state?.stopped && html`<p role="status">${texts.stopped}</p>`}
    ${state?.error && html`<${Problem} error=${state.error} title=${checked?.steps && c.failed} />`}
    ${checked?.steps && html`<div class="steps">
      <h3 id=${heading} class="hidden">${c.title}</h3>
      ${state.result && html`<p class="strong good" role="status">${c.passed}</p>`}
      <ol aria-labelledby=${heading}>
        ${Object.entries(c.steps).map(([name, text]) => html`<${Step} key=${name} text=${text} step=${checked.steps.find(({ step }) => step === name)} />`)}
      </ol>
      ${checked.retrieval && html`<p>${c.retrieval}: <b class=${checked.retrieval.ready ? 'good' : 'bad'}>${checked.retrieval.ready ? c.ready : c.notReady}</b>.
        ${' '}${checked.retrieval.hint}</p>`}
    </div>`}
  </div>`;
}

function Step({ text, step }) {
  const c = texts.check;
  const status = step?.status ?? 'none';
  return html`<li class=${`step ${status}`}>
    <span>${text}</span> <b>${step ? c.states[status] : c.notReached}</b>
    ${status === 'ok' && html` <span class="quiet small">${c.ms(step.duration_ms)}</span>`}
    ${step?.hint && status === 'ok' && html`<p class="quiet">${step.hint}</p>`}
  </li>`;
}
