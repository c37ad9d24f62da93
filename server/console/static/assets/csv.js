// Lists of studies as text: CSV as the gateway reads it (RFC 4180), and what spreadsheets make of it: semicolons, tabs, a BOM.
import { texts } from './texts.js';

const t = texts.order.csv;
export const columns = ['patient_id', 'accession_number', 'study_instance_uid'];
// columns of a result, which the gateway writes with an apostrophe before what a spreadsheet could take for a formula
const ofResult = ['item', 'state', 'attempts'];
export const maxItems = 10_000;
const maxFaults = 20;

const nameOf = (cell) => cell.trim().toLowerCase().replace(/[\s-]+/g, '_');

// records splits text into records {line, cells}. Records of a quoted cell that does not end are returned as {line, open}.
function records(text, separator) {
  const found = [];
  let [line, at] = [1, 0];
  while (at < text.length) {
    const record = { line, cells: [] };
    for (;;) {
      let cell = '';
      if (text[at] === '"') {
        for (;;) {
          const end = text.indexOf('"', at + 1);
          if (end === -1) return [...found, { line: record.line, open: true }];
          cell += text.slice(at + 1, end);
          at = end + 1;
          if (text[at] !== '"') break;
          cell += '"';
        }
        line += cell.split('\n').length - 1;
      }
      let end = at;
      while (end < text.length && text[end] !== separator && text[end] !== '\n') end += 1;
      record.cells.push((cell + text.slice(at, end)).trim());
      at = end + 1;
      if (text[end] !== separator) break;
    }
    line += 1;
    if (record.cells.some((value) => value !== '')) found.push(record);
  }
  return found;
}

// read returns {header, items, used, ignored, faults, more}: the line of the column names, the items with the line of each,
// the columns that are used and those that are not, and what is wrong. more says that there are more faults.
export function read(text) {
  const clean = text.replace(/^\uFEFF/, '').replace(/\r\n?/g, '\n');
  const result = { header: 1, items: [], used: [], ignored: [], faults: [], more: false };
  const header = /[^\n]*\S[^\n]*/.exec(clean)?.[0];
  if (header === undefined) return result;
  const separator = ['\t', ';', ','].find((mark) => header.includes(mark)) ?? ',';
  const [first, ...rows] = records(clean, separator);
  const names = first.open ? [] : first.cells.map(nameOf);
  const fault = (line, column, detail) => {
    if (result.faults.length < maxFaults) result.faults.push({ line, column, detail });
    else result.more = true;
  };
  result.header = first.line;
  result.used = columns.filter((name) => names.includes(name));
  result.ignored = first.open ? [] : first.cells.filter((cell, i) => !columns.includes(names[i]) && cell !== '');
  if (result.used.length === 0) fault(first.line, '', t.header);
  for (const name of result.used) if (names.indexOf(name) !== names.lastIndexOf(name)) fault(first.line, name, t.twice);
  if (result.faults.length > 0) return result;
  const isResult = ofResult.every((name) => names.includes(name));
  const places = result.used.map((name) => [name, names.indexOf(name)]);
  for (const { line, cells, open } of rows) {
    if (open) {
      fault(line, '', t.quote);
      break;
    }
    const item = { line };
    for (const [name, place] of places) item[name] = (cells[place] ?? '').replace(isResult ? /^'/ : /(?!)/, '');
    if (cells.length > names.length) fault(line, '', t.cells(cells.length, names.length));
    else if (places.every(([name]) => item[name] === '')) fault(line, '', t.empty);
    // eslint-disable-next-line no-control-regex
    for (const [name] of places) if (/[\x00-\x1f\x7f]/.test(item[name])) fault(line, name, t.control);
    result.items.push(item);
  }
  if (clean.includes('\uFFFD')) fault(1 + clean.slice(0, clean.indexOf('\uFFFD')).split('\n').length - 1, '', t.encoding);
  if (result.items.length === 0 && result.faults.length === 0) fault(first.line, '', t.none);
  if (result.items.length > maxItems) fault(result.items[maxItems].line, '', t.many(maxItems));
  return result;
}

const cellOf = (value) => (/[",]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);

// write returns the text that the gateway gets. Each item is in the line that it has in the text of the person, so that the gateway's
// faults are true for both.
export function write({ header, items, used }) {
  let text = '';
  let at = 1;
  const add = (line, cells) => {
    text += `${'\n'.repeat(line - at)}${cells.map(cellOf).join(',')}\n`;
    at = line + 1;
  };
  add(header, used);
  for (const item of items) add(item.line, used.map((name) => item[name]));
  return text;
}
