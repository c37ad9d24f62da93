// The page: PACS, search, studies, move.
import { render } from './preact.js';
import { useEffect, useRef, useState } from './preact-hooks.js';
import { json, onUnauthorized } from './api.js';
import { Busy, Dialog, html, Problem, useTask } from './parts.js';
import { Archive } from './pacs.js';
import { find, SearchForm } from './search.js';
import { Studies } from './studies.js';
import { Move } from './move.js';
import { Batches } from './batches.js';
import { emptyDraft } from './order.js';
import { texts } from './texts.js';

const nothing = { studies: [], more: false, warnings: [] };

function KeyDialog({ refused, onKey }) {
  const [key, setKey] = useState('');
  const k = texts.key;
  const given = useRef('');
  const submit = () => { given.current = key.trim(); };
  return html`<${Dialog} title=${k.title} onClose=${() => onKey(given.current)}>
    <form method="dialog" onSubmit=${submit}>
      <p>${k.text}</p>
      ${refused && html`<p class="notice bad" role="alert">${k.refused}</p>`}
      <div class="field"><label for="api-key">${k.label}</label>
        <input id="api-key" type="password" autocomplete="off" value=${key} onInput=${(e) => setKey(e.target.value)} /></div>
      <p class="buttons"><button class="main">${k.use}</button>
        <button type="button" onClick=${(e) => e.target.closest('dialog').close()}>${texts.cancel}</button></p>
    </form>
  <//>`;
}

// viewOf returns the view of the batches that the address names, or null for the studies.
const viewOf = ({ hash }) => (/^#batches(\/|$)/.test(hash) ? hash.slice('#batches/'.length) : null);

function Page({ viewer }) {
  const [view, setView] = useState(viewOf(location));
  const [draft, setDraft] = useState(emptyDraft);
  const list = useTask();
  const search = useTask();
  const [pacs, setPACS] = useState(null);
  const [found, setFound] = useState(nothing);
  const [keys, setKeys] = useState(null);
  const [selected, setSelected] = useState([]);
  const [moving, setMoving] = useState(false);
  const [question, setQuestion] = useState(null);
  const lastChosen = useRef([]);
  const [batches, setBatches] = useState(true); // whether the gateway has them

  const load = () => list.run(async (signal) => {
    const { data } = await json('pacs', { signal });
    if (data.pacs.length > 0) setPACS((chosen) => chosen ?? { name: data.pacs[0].name });
    return data;
  });
  useEffect(() => {
    onUnauthorized((refused) => new Promise((resolve) => setQuestion({ refused, resolve })));
    load();
    json('ready').then(({ data }) => setBatches(data.jobs !== 'disabled'), () => {});
    const follow = () => setView(viewOf(location));
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  useEffect(() => { document.title = [view !== null && texts.batches.title, texts.name].filter(Boolean).join(' - '); }, [view]);

  const forget = () => {
    setFound(nothing);
    setSelected([]);
  };
  const choose = (next) => {
    setPACS(next);
    search.clear();
    forget();
  };
  const start = (wanted) => {
    forget();
    setKeys(wanted);
    search.run(async (signal) => {
      const page = await find(pacs, wanted, 0, signal);
      setFound(page);
      return page;
    });
  };
  const more = () => search.run(async (signal) => {
    const page = await find(pacs, keys, found.studies.length, signal);
    const known = new Set(found.studies.map(({ uid }) => uid));
    const all = { ...page, studies: [...found.studies, ...page.studies.filter(({ uid }) => !known.has(uid))] };
    setFound(all);
    return all;
  });
  const move = (study) => {
    setSelected((old) => (old.includes(study.uid) ? old : [...old, study.uid]));
    setTimeout(() => {
      document.getElementById('move-title')?.scrollIntoView({ block: 'start' });
      document.getElementById('destination')?.focus({ preventScroll: true });
    });
  };
  // A move that runs keeps its studies, whatever the person does meanwhile.
  const chosen = moving ? lastChosen.current : found.studies.filter(({ uid }) => selected.includes(uid));
  lastChosen.current = chosen;
  const named = list.state?.result?.pacs ?? [];
  // batch fills the form of a new batch with the selected studies.
  const batch = (studies, destination) => {
    setDraft({ ...draft, text: `study_instance_uid\n${studies.map(({ uid }) => `${uid}\n`).join('')}`, name: '', pacs: pacs.name, destination });
    location.hash = '#batches/new';
  };
  // The address names the view of the batches, so this link does not change it.
  const skip = (event) => {
    if (view === null) return;
    event.preventDefault();
    document.querySelector('main h2[tabindex]')?.focus();
  };
  return html`
    <a class="skip" href=${view === null ? '#search' : '#main'} onClick=${skip}>${view === null ? texts.skip : texts.skipToBatches}</a>
    <header class="masthead">
      <h1><img src="docs/assets/icon.svg" alt="" width="28" height="28" />${texts.name}</h1>
      <nav aria-label=${texts.pages} class="tabs"><a href="#" aria-current=${view === null ? 'page' : undefined}>${texts.studies}</a>
        <a href="#batches" aria-current=${view === null ? undefined : 'page'}>${texts.batches.title}</a></nav>
      <nav aria-label=${texts.documents}><a href="docs">${texts.api}</a> <a href="redoc">${texts.reference}</a></nav>
    </header>
    <main id="main">
      ${list.state?.busy && html`<${Busy} text=${texts.loading} />`}
      ${list.state?.error && html`<${Problem} error=${list.state.error} /><p><button type="button" onClick=${load}>${texts.tryAgain}</button></p>`}
      <div class="view" hidden=${view !== null}>
        ${list.state?.result && html`<${Archive} list=${list.state.result} pacs=${pacs} onChoose=${choose} />`}
        ${pacs && html`<${SearchForm} key=${Boolean(pacs.name)} pacs=${pacs} onSearch=${start} />`}
        ${search.state && html`<${Studies} ...${{ pacs, found, selected, viewer }} task=${search} onMore=${more} onSelect=${setSelected} onMove=${move} />`}
        ${chosen.length > 0 && html`<${Move} key=${pacs.name} pacs=${pacs} studies=${chosen} destinations=${named.filter(({ name }) => name !== pacs.name)}
          onClear=${() => setSelected([])} onBusy=${setMoving} onBatch=${batches && pacs.name && batch} />`}
      </div>
      ${view !== null && list.state?.result && html`<div class="view"><${Batches} view=${view} on=${batches} list=${list.state.result} draft=${draft} onDraft=${setDraft} /></div>`}
    </main>
    ${question && html`<${KeyDialog} refused=${question.refused} onKey=${(key) => {
      setQuestion(null);
      question.resolve(key);
    }} />`}`;
}

const root = document.getElementById('console');
render(html`<${Page} viewer=${root.dataset.viewer} />`, root);
