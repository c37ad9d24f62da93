// Unpacks the OHIF viewer, as its npm package holds it, into a folder: node fetch.mjs FOLDER.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

// npm install would add hundreds of packages that build the viewer; what was built needs none of them.
const name = '@ohif/app';
export const version = '3.13.2';
const digest = 'WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA==';

// fetch unpacks the package into folder, unless it is there.
export async function fetch(folder) {
  try {
    await access(folder);
    return;
  } catch {
    // not yet
  }
  await mkdir(dirname(folder), { recursive: true });
  const work = await mkdtemp(`${folder}-`);
  try {
    await run('npm', ['pack', '--silent', `${name}@${version}`], { cwd: work });
    const archive = join(work, `ohif-app-${version}.tgz`);
    const got = createHash('sha512').update(await readFile(archive)).digest('base64');
    if (got !== digest) throw new Error(`${name}@${version} has the digest ${got}`);
    await run('tar', ['-xzf', archive, '-C', work, '--exclude', '*.map', 'package/dist']);
    await rename(join(work, 'package/dist'), folder);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.length !== 3) throw new Error('usage: node fetch.mjs FOLDER');
  await fetch(resolve(process.argv[2]));
}
