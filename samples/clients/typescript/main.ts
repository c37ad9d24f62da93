// Finds the studies of a patient, or moves them. README.md in the parent folder describes the command line and the exit
// statuses.
import {
  createGateway,
  CutOffError,
  ProblemError,
  ReplyError,
  type Gateway,
  type Problem,
  type QueryRequest,
  type RetrieveRequest,
  type Study,
  type Warning,
} from 'dicom-qr-gateway-client';

const usage = `usage: find     http[s]://GATEWAY PACS PATIENT
       retrieve http[s]://GATEWAY PACS PATIENT DESTINATION [STUDY...]
PACS is the name of a PACS that the gateway knows, or AETITLE@HOST:PORT.`;

const exitStatus: Partial<Record<number, number>> = { 400: 5, 401: 5, 403: 5, 429: 7, 502: 6, 503: 7 };

const interrupt = new AbortController();
const { signal } = interrupt;
process.once('SIGINT', () => interrupt.abort());
process.exitCode = await main(process.argv.slice(2));

async function main([command = '', baseUrl = '', pacs = '', patient_id, destination, ...studies]: string[]) {
  const chosen = choosePACS(pacs);
  const complete = command === 'find' ? destination === undefined : command === 'retrieve' && destination !== undefined;
  if (!complete || !(/^https?:\/\/[^/]/.test(baseUrl) && URL.canParse(baseUrl)) || !chosen || patient_id === undefined) {
    console.error(usage);
    return 2;
  }
  const { GATEWAY_API_KEY: apiKey } = process.env;
  const gateway = createGateway({
    baseUrl,
    ...(apiKey && { apiKey }),
    retry: { attempts: 3, maxWait: 60, onRetry: ({ message }, seconds) => console.error(`${message}; retrying in ${seconds}s`) },
  });
  const request = { ...chosen, patient_id };
  try {
    if (destination === undefined) return await find(gateway, request);
    const retrieval = { ...request, c_move_ae_title: destination };
    return await retrieveTwice(gateway, studies.length ? { ...retrieval, study_instance_uids: studies } : retrieval);
  } catch (error) {
    return report(error);
  }
}

/** Returns the fields that name the PACS or hold its address; undefined if the argument is neither. */
function choosePACS(pacs: string): Omit<QueryRequest, 'patient_id'> | undefined {
  if (/^[a-z0-9][a-z0-9-]*$/.test(pacs)) return { pacs };
  const [, pacs_ae_title, pacs_ip, port] = /^(.+)@(.+):(\d+)$/.exec(pacs) ?? [];
  const { CALLING_AE_TITLE: c_find_ae_title = 'GATEWAY' } = process.env;
  return pacs_ae_title && pacs_ip ? { pacs_ip, pacs_port: Number(port), pacs_ae_title, c_find_ae_title } : undefined;
}

async function find(gateway: Gateway, request: QueryRequest) {
  const { study_details, warnings } = await gateway.query(request, { signal });
  warn(warnings);
  for (const study of study_details) console.log(`${study.StudyInstanceUID}  ${describe(study)}`);
  return 0;
}

function describe({ StudyDate, ModalitiesInStudy, StudyDescription }: Study) {
  return `${StudyDate} ${ModalitiesInStudy.join()} ${StudyDescription}`;
}

function warn(warnings: Warning[]) {
  for (const { message, code } of warnings) console.error(`warning: ${message} (${code})`);
}

/** Prints the progress of each study and returns the studies to retry. */
async function retrieve(gateway: Gateway, request: RetrieveRequest) {
  let studies = new Map<string, string>();
  const retry: string[] = [];
  for await (const { type, data } of gateway.follow(request, { signal })) {
    if (type === 'matched') {
      warn(data.warnings);
      studies = new Map(data.study_details.map((study) => [study.StudyInstanceUID, describe(study)]));
    } else if (type === 'progress') {
      // Each counter may be null, because a PACS need not send it.
      const done = (data.completed ?? 0) + (data.failed ?? 0) + (data.warning ?? 0);
      const total = data.remaining === null ? '' : ` of ${done + data.remaining}`;
      process.stdout.write(`\r${studies.get(data.StudyInstanceUID)}: ${done}${total}`);
    } else if (type === 'retrieved') {
      console.log(`\r${studies.get(data.StudyInstanceUID)}: ${data.status}    `);
      if (data.status !== 'ok') retry.push(data.StudyInstanceUID);
    } else {
      console.log(data.message);
    }
  }
  return retry;
}

/** Retries the studies that did not arrive completely, once. */
async function retrieveTwice(gateway: Gateway, request: RetrieveRequest) {
  const retry = await retrieve(gateway, request);
  if (retry.length === 0) return 0;
  console.error('studies to retry:', retry.length);
  const left = await retrieve(gateway, { ...request, study_instance_uids: retry });
  if (left.length === 0) return 0;
  console.error('not everything was moved');
  return 3;
}

/** Prints the error and returns its exit status. */
function report(error: unknown): number {
  if (signal.aborted) {
    console.error('stopped');
    return 130;
  }
  if (error instanceof ProblemError) {
    console.error(error.message);
    explain(error.problem);
    if (error.problem.code === 'no_study_matched') return 4; // another 404 is a wrong path
    return exitStatus[error.problem.status] ?? 1;
  }
  if (error instanceof CutOffError) {
    console.error(error.message);
    return 8;
  }
  if (error instanceof ReplyError) {
    console.error(error.message);
    return 1;
  }
  if (error instanceof TypeError && error.cause instanceof Error) {
    console.error(error.message, error.cause.message); // of fetch
    return 8;
  }
  throw error;
}

function explain(problem: Problem) {
  if (problem.code === 'invalid_request') {
    for (const { pointer, detail } of problem.errors) console.error(`  ${pointer} ${detail}`);
  } else if (problem.code === 'no_study_matched') {
    for (const { message, code } of problem.warnings ?? []) console.error(`  ${message} (${code})`);
  } else if (problem.status === 502) {
    if (problem.dicom) {
      const { step, status, meaning, result, source, reason } = problem.dicom;
      console.error(` `, ...[step, status, meaning, result, source, reason].filter((word) => word !== undefined));
    }
    if (problem.hint) console.error(`  ${problem.hint}`);
  }
  if (problem.correlation_id) console.error('  correlation ID', problem.correlation_id);
}
