import { execFile } from 'node:child_process';
import { delimiter } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const here = fileURLToPath(new URL('.', import.meta.url));

// contract is the document that the tests are about.
export const contract = process.env.CONTRACT ?? fileURLToPath(new URL('../../openapi.yaml', import.meta.url));

// run runs a program of node_modules/.bin or of the PATH in this folder and returns its standard output. It throws an
// error with both outputs if the program fails.
export async function run([program, ...args], environment = {}, cwd = here) {
  const env = { ...process.env, ...environment, NO_COLOR: '1', PATH: `${here}node_modules/.bin${delimiter}${process.env.PATH}` };
  try {
    return (await promisify(execFile)(program, args, { cwd, env, maxBuffer: 1 << 26, timeout: 90_000 })).stdout;
  } catch (error) {
    throw new Error(`${program}: ${error.code}\n${error.stdout}\n${error.stderr}`);
  }
}
