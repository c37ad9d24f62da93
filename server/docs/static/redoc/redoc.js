'use strict';

const sans = 'system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif';
const mono = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace';

const typography = {
  fontFamily: sans,
  fontSize: '15px',
  headings: { fontFamily: sans, fontWeight: '600' },
  code: { fontFamily: mono, fontSize: '13px', wrap: true },
};

const spacing = { sectionVertical: 20 };
const light = {
  spacing,
  typography: { ...typography, code: { ...typography.code, color: '#0b5f58' } },
  colors: { primary: { main: '#0b5f58', light: '#0b5f58' }, text: { primary: '#1f2937' } },
};

const dark = {
  spacing,
  typography: {
    ...typography,
    code: { ...typography.code, color: '#5eead4', backgroundColor: 'rgba(255, 255, 255, 0.08)' },
    links: { color: '#5eead4' },
  },
  colors: {
    primary: { main: '#5eead4', light: '#5eead4' },
    success: { main: '#4ade80' },
    warning: { main: '#fbbf24' },
    error: { main: '#f87171' },
    text: { primary: '#e5e7eb', secondary: '#a9b3bd' },
    border: { dark: 'rgba(255, 255, 255, 0.16)', light: '#2d343a' },
    gray: { 50: '#1d2327', 100: '#252c31' },
    responses: {
      success: { backgroundColor: 'rgba(74, 222, 128, 0.1)' },
      error: { backgroundColor: 'rgba(248, 113, 113, 0.1)' },
      redirect: { color: '#fcd34d', backgroundColor: 'rgba(251, 191, 36, 0.1)' },
      info: { color: '#7dd3fc', backgroundColor: 'rgba(125, 211, 252, 0.1)' },
    },
  },
  schema: { nestedBackground: '#1d2327', linesColor: '#3d5a57' },
  sidebar: {
    backgroundColor: '#181d20',
    textColor: '#e5e7eb',
    activeTextColor: '#5eead4',
    groupItems: { activeBackgroundColor: '#252c31' },
    level1Items: { activeBackgroundColor: '#252c31' },
  },
  rightPanel: {
    backgroundColor: '#0e1214',
    servers: { overlay: { backgroundColor: '#252c31', textColor: '#e5e7eb' }, url: { backgroundColor: '#14181b' } },
  },
  codeBlock: { backgroundColor: '#181d20' },
  fab: { backgroundColor: '#2d353b', color: '#5eead4' },
};

const contract = fetch('openapi.json').then((response) => response.json());

// Redoc reads its colours once, so a change of the colour scheme renders the page again.
const scheme = matchMedia('(prefers-color-scheme: dark)');
async function render() {
  const place = document.createElement('div');
  const shown = structuredClone(shownContract(await contract)); // Redoc changes it
  document.getElementById('page').replaceChildren(place);
  const theme = scheme.matches ? dark : light;
  Redoc.init(shown, { theme, expandResponses: '200,207', hideDownloadButtons: true }, place);
}
scheme.addEventListener('change', render);
render();
