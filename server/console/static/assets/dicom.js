// Studies and series as the page shows them, from DICOM JSON (PS3.18 annex F) and from answers of /q.
import { texts } from './texts.js';

const values = (dataset, tag) => dataset[tag]?.Value ?? [];
const first = (dataset, tag) => values(dataset, tag)[0] ?? '';
const number = (value) => (value === '' || value === undefined || Number.isNaN(Number(value)) ? null : Number(value));

// personName returns a name for people: DOE^JOHN is "DOE, JOHN".
function personName(text) {
  const [family = '', given = '', middle = ''] = text.split('^');
  return [family, [given, middle].filter(Boolean).join(' ')].filter(Boolean).join(', ');
}

function personNames({ Alphabetic = '', Ideographic = '' } = {}) {
  const [alphabetic, ideographic] = [personName(Alphabetic), Ideographic.replaceAll('^', ' ').trim()];
  return alphabetic && ideographic ? `${alphabetic} (${ideographic})` : alphabetic || ideographic;
}

export const date = (text) => text.replace(/^(\d{4})(\d\d)(\d\d)$/, '$1-$2-$3');
const time = (text) => text.replace(/^(\d\d)(\d\d).*$/, '$1:$2');

export const label = (study) => [study.description || texts.found.undescribed, study.date].filter(Boolean).join(', ');

// studyOf makes a study from an answer of QIDO-RS.
export function studyOf(dataset) {
  return {
    uid: first(dataset, '0020000D'),
    name: personNames(first(dataset, '00100010') || undefined),
    patientID: first(dataset, '00100020'),
    issuer: first(dataset, '00100021'),
    born: date(first(dataset, '00100030')),
    date: date(first(dataset, '00080020')),
    time: time(first(dataset, '00080030')),
    description: first(dataset, '00081030'),
    accession: first(dataset, '00080050'),
    modalities: values(dataset, '00080061').filter(Boolean),
    series: number(first(dataset, '00201206')),
    images: number(first(dataset, '00201208')),
  };
}

// studyOfQuery makes a study from an answer of /q.
export function studyOfQuery(study) {
  return {
    uid: study.StudyInstanceUID,
    name: personNames({ Alphabetic: study.PatientName.split('=')[0], Ideographic: study.PatientName.split('=')[1] }),
    patientID: study.PatientID,
    issuer: '',
    born: date(study.DateOfBirth ?? ''),
    date: date(study.StudyDate ?? ''),
    time: time(study.StudyTime ?? ''),
    description: study.StudyDescription ?? '',
    accession: study.AccessionNumber ?? '',
    modalities: study.ModalitiesInStudy ?? [],
    series: null,
    images: null,
  };
}

// seriesOf makes a series from an answer of QIDO-RS.
export function seriesOf(dataset) {
  return {
    uid: first(dataset, '0020000E'),
    number: number(first(dataset, '00200011')),
    description: first(dataset, '0008103E'),
    modality: first(dataset, '00080060'),
    images: number(first(dataset, '00201209')),
  };
}

// keysOf returns the parameters of QIDO-RS for the search form. A name without a wildcard matches what begins with it.
export function keysOf({ patientID, name, accession, from, to }) {
  const day = (text) => text.replaceAll('-', '');
  const pattern = name.trim().replace(/\s*,\s*/, '^');
  return {
    PatientID: patientID.trim(),
    PatientName: pattern === '' || /[*?]/.test(pattern) ? pattern : `${pattern}*`,
    AccessionNumber: accession.trim(),
    StudyDate: from === to ? day(from) : `${day(from)}-${day(to)}`,
  };
}
