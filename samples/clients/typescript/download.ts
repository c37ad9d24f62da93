// Retrieves a study and writes its instances to a folder. README.md in the parent folder describes the command line and the exit
// statuses.
import { mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { createGateway, IncompleteError, ProblemError, ReplyError, type Gateway, type Instance } from 'dicom-qr-gateway-client';

const usage = `usage: download http[s]://GATEWAY PACS STUDY FOLDER
PACS is the name of a PACS that the gateway knows, STUDY a Study Instance UID, FOLDER new or empty.`;

const exitStatus: Partial<Record<number, number>> = { 400: 5, 401: 5, 403: 5, 429: 7, 502: 6, 503: 7, 504: 6 };

const interrupt = new AbortController();
const { signal } = interrupt;
process.once('SIGINT', () => interrupt.abort());
process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]) {
  const [baseUrl = '', pacs = '', study = '', folder = ''] = args;
  if (args.length !== 4 || !(/^https?:\/\/[^/]/.test(baseUrl) && URL.canParse(baseUrl)) || !pacs || !study || !folder) {
    console.error(usage);
    return 2;
  }
  const { GATEWAY_API_KEY: apiKey } = process.env;
  const gateway = createGateway({
    baseUrl,
    ...(apiKey && { apiKey }),
    retry: { attempts: 3, maxWait: 60, onRetry: ({ message }, seconds) => console.error(`${message}; retrying in ${seconds}s`) },
  });
  try {
    await prepare(folder);
    await download(gateway, pacs, study, folder);
    return 0;
  } catch (error) {
    return report(error);
  }
}

/** Makes the folder. It refuses one that has files, because they would mix with those of the study. */
async function prepare(folder: string) {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if ((await readdir(folder)).length > 0) throw new Error(`${folder} is not empty`);
}

async function download(gateway: Gateway, pacs: string, study: string, folder: string) {
  const expected = await count(gateway, pacs, study);
  let received = 0;
  show(received, expected);
  try {
    for await (const instance of gateway.retrieveInstances(pacs, { study }, { lenient: true, signal })) {
      // A number, because a name from another system is not safe as a name of a file.
      await save(join(folder, `${String(received + 1).padStart(6, '0')}.dcm`), instance);
      show(++received, expected);
    }
  } finally {
    console.log();
  }
  console.log(`${received} instances in ${folder}`);
}

/** Returns how many instances the PACS says the study has; undefined if it does not say it. */
async function count(gateway: Gateway, pacs: string, study: string) {
  const { data } = await gateway.client.GET('/dicomweb/{pacs}/studies', {
    params: { path: { pacs }, query: { StudyInstanceUID: study } },
    signal,
  });
  const value = data?.[0]?.['00201208']?.Value?.[0];
  return typeof value === 'number' ? value : undefined;
}

function show(received: number, expected: number | undefined) {
  if (!expected) {
    process.stdout.write(`\rinstances: ${received}`);
    return;
  }
  const done = Math.min(Math.floor((30 * received) / expected), 30);
  process.stdout.write(`\rinstances [${'#'.repeat(done).padEnd(30)}] ${received}/${expected}`);
}

/** Writes the file. It removes what it has written if the rest does not arrive. */
async function save(path: string, { content }: Instance) {
  const file = await open(path, 'wx', 0o600);
  try {
    for await (const piece of content) await file.writeFile(piece);
  } catch (error) {
    await rm(path);
    throw error;
  } finally {
    await file.close();
  }
}

/** Prints the error and returns its exit status. */
function report(error: unknown): number {
  if (signal.aborted) {
    console.error('stopped');
    return 130;
  }
  if (!(error instanceof Error)) throw error;
  console.error(error.message, ...(error instanceof TypeError && error.cause instanceof Error ? [error.cause.message] : []));
  if (error instanceof IncompleteError) {
    for (const uid of error.missingSOPInstanceUIDs) console.error('missing:', uid);
    return 3;
  }
  if (error instanceof ProblemError) {
    const { problem } = error;
    if (problem.code === 'invalid_request') {
      for (const { pointer, detail } of problem.errors) console.error(`  ${pointer} ${detail}`);
    }
    const { code, status } = problem;
    if (code === 'pacs_unknown') return 5;
    return code === 'not_found' ? 4 : (exitStatus[status] ?? 1);
  }
  if (error instanceof ReplyError) return 1;
  return error instanceof TypeError ? 8 : 1; // fetch throws TypeErrors
}
