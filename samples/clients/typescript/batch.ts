// Moves the studies of a CSV file and writes a CSV file with the result. README.md in the parent folder describes the command line and
// the exit statuses.
import { readFile, writeFile } from 'node:fs/promises';

import { createGateway, CutOffError, ProblemError, ReplyError, type Gateway, type JobCounts } from 'dicom-qr-gateway-client';

const usage = `usage: batch submit http[s]://GATEWAY PACS DESTINATION LIST RESULT
       batch follow http[s]://GATEWAY JOB RESULT
PACS is the name of a PACS that the gateway knows, LIST a CSV file, RESULT the CSV file to write.`;

const exitStatus: Partial<Record<number, number>> = { 400: 5, 401: 5, 403: 5, 413: 5, 429: 7, 501: 5, 503: 7 };

const interrupt = new AbortController();
const { signal } = interrupt;
process.once('SIGINT', () => interrupt.abort());
process.exitCode = await main(process.argv.slice(2));

async function main([command, baseUrl = '', ...args]: string[]) {
  const isURL = /^https?:\/\/[^/]/.test(baseUrl) && URL.canParse(baseUrl);
  if (!isURL || !((command === 'submit' && args.length === 4) || (command === 'follow' && args.length === 2))) {
    console.error(usage);
    return 2;
  }
  const { GATEWAY_API_KEY: apiKey } = process.env;
  const gateway = createGateway({
    baseUrl,
    ...(apiKey && { apiKey }),
    retry: { attempts: 3, maxWait: 60, onRetry: ({ message }, seconds) => console.error(`${message}; retrying in ${seconds}s`) },
  });
  const result = args.at(-1)!;
  try {
    if (command === 'follow') return await finish(gateway, args[0]!, result);
    const [pacs = '', destination = '', list = ''] = args;
    const csv = await readFile(list, 'utf8');
    const { job } = await gateway.jobs.submit({ pacs, c_move_ae_title: destination, csv }, { signal });
    console.log('job', job);
    return await finish(gateway, job, result);
  } catch (error) {
    return report(error);
  }
}

/** Waits for the end of the job, and writes its result. */
async function finish(gateway: Gateway, job: string, result: string) {
  const counts = await follow(gateway, job);
  await writeFile(result, await gateway.jobs.csv(job, { signal }));
  console.log(`${counts.moved} of ${counts.items} items moved, see ${result}`);
  if (counts.moved === counts.items) return 0;
  const { partial, failed, no_study_matched: unmatched, cancelled } = counts;
  const others = { 'in part': partial, failed, 'matched no study': unmatched, 'were cancelled': cancelled };
  const said = Object.entries(others).filter(([, count]) => count > 0);
  console.error('not everything was moved:', said.map(([what, count]) => `${count} ${what}`).join(', '));
  return 3;
}

/** Shows the progress of the job, and returns its counters when it has finished. */
async function follow(gateway: Gateway, job: string): Promise<JobCounts> {
  try {
    for await (const { type, data } of gateway.jobs.follow(job, { signal })) {
      if (type === 'job' || type === 'finished') show(data.counts);
      if (type === 'finished') return data.counts;
    }
  } finally {
    console.log();
  }
  throw new CutOffError();
}

function show({ items, queued, running, waiting }: JobCounts) {
  const done = items - queued - running - waiting;
  process.stdout.write(`\ritems [${'#'.repeat(Math.floor((30 * done) / items)).padEnd(30)}] ${done}/${items}`);
}

/** Prints the error and returns its exit status. */
function report(error: unknown): number {
  if (signal.aborted) {
    console.error('stopped; a job that is filed goes on');
    return 130;
  }
  if (!(error instanceof Error)) throw error;
  console.error(error.message, ...(error instanceof TypeError && error.cause instanceof Error ? [error.cause.message] : []));
  if (error instanceof ProblemError) {
    const { problem } = error;
    if (problem.code === 'invalid_request') {
      for (const { pointer, line, column, detail } of problem.errors) {
        const place = (line === undefined ? pointer : `line ${line}`) + (column === undefined ? '' : `, column ${column}`);
        console.error(`  ${place}: ${detail}`);
      }
    }
    if ('hint' in problem && problem.hint) console.error(`  ${problem.hint}`);
    return problem.code === 'job_not_found' ? 4 : (exitStatus[problem.status] ?? 1);
  }
  if (error instanceof ReplyError) return 1;
  return error instanceof TypeError || error instanceof CutOffError ? 8 : 1; // fetch throws TypeErrors
}
