// Runs real PACS with a CT volume, behind proxies that count what is asked of them.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePorts } from './gateway.mjs';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));

export const slices = 500;

// generate writes the files of the volume to folder and resolves to the generator and the folder of
// the files.
async function generate(folder) {
  const program = join(folder, 'generate');
  await run('go', ['build', '-o', program, './test/studies/generate'], { cwd: root });
  const files = join(folder, 'files');
  await run(program, ['-slices', String(slices), '-out', files]);
  return { program, files };
}

// element returns the text of an element in Explicit VR Little Endian of a short VR.
function element(file, group, number) {
  const at = file.indexOf(Buffer.from([group & 255, group >> 8, number & 255, number >> 8]), 132);
  const length = file.readUInt16LE(at + 6);
  return file.toString('latin1', at + 8, at + 8 + length).replace(/[\0 ]+$/, '');
}

// read resolves to the Study Instance UID of the volume, and to the stored values of an instance, pixels(uid), and of the slice at an index
// from the feet to the head, slice(k).
async function read(files) {
  const instances = {};
  const order = [];
  let study;
  for (const name of await readdir(files)) {
    const path = join(files, name);
    const file = await readFile(path);
    study = element(file, 0x0020, 0x000d);
    instances[element(file, 0x0008, 0x0018)] = path;
    order[Number(element(file, 0x0020, 0x0013)) - 1] = path;
  }
  const pixelsOf = async (path) => {
    const file = await readFile(path);
    const length = 2 * 512 * 512;
    return new Uint16Array(file.buffer.slice(file.byteOffset + file.length - length, file.byteOffset + file.length));
  };
  return { study, pixels: (uid) => pixelsOf(instances[uid]), slice: (k) => pixelsOf(order[k]) };
}

async function listening(port, child) {
  for (const deadline = Date.now() + 30_000; Date.now() < deadline;) {
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} has ended`);
    const socket = net.connect(port, '127.0.0.1');
    const open = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'error').then(() => false)]).catch(() => false);
    socket.destroy();
    if (open) return;
    await new Promise((passed) => setTimeout(passed, 50));
  }
  throw new Error(`nothing listens on port ${port}`);
}

// counter forwards connections to a port and counts the requests of each kind (PS3.7 section E.1, Command Field) that pass.
const names = { 0x10: 'C-GET', 0x20: 'C-FIND', 0x21: 'C-MOVE' };
async function counter(to) {
  const counts = {};
  const server = net.createServer((from) => {
    const onward = net.connect(to, '127.0.0.1');
    onward.setNoDelay(true);
    from.setNoDelay(true);
    let rest = Buffer.alloc(0);
    from.on('data', (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      for (; rest.length >= 6 && rest.length >= 6 + rest.readUInt32BE(2); rest = rest.subarray(6 + rest.readUInt32BE(2))) {
        if (rest[0] !== 4) continue; // P-DATA-TF
        const end = 6 + rest.readUInt32BE(2);
        for (let at = 6; at < end; at += 4 + rest.readUInt32BE(at)) {
          if (!(rest[at + 5] & 1)) continue; // a data set
          const field = rest.subarray(at + 6, end).indexOf(Buffer.from([0, 0, 0, 1, 2, 0, 0, 0]));
          const name = field < 0 ? undefined : names[rest.readUInt16LE(at + 6 + field + 8)];
          if (name) counts[name] = (counts[name] ?? 0) + 1;
        }
      }
    });
    from.pipe(onward).pipe(from);
    for (const socket of [from, onward]) socket.on('error', () => { from.destroy(); onward.destroy(); });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: server.address().port, counts, stop: () => server.close() };
}

function qrscp(folder, port) {
  const config = `NetworkTCPPort = ${port}
MaxPDUSize = 131072
MaxAssociations = 16
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
QRSCP ${join(folder, 'qrscp')} RW (200, 4096mb) ANY
AETable END
`;
  return { program: 'dcmqrscp', file: join(folder, 'dcmqrscp.cfg'), args: ['-c'], config, storage: join(folder, 'qrscp') };
}

function orthanc(folder, port, httpPort, plugins) {
  const storage = join(folder, 'orthanc');
  const config = JSON.stringify({
    StorageDirectory: storage, IndexDirectory: storage, Plugins: plugins,
    HttpPort: httpPort, RemoteAccessAllowed: false, AuthenticationEnabled: false,
    DicomServerEnabled: true, DicomAet: 'ORTHANC', DicomPort: port, DicomCheckCalledAet: false,
    DicomAlwaysAllowEcho: true, DicomAlwaysAllowStore: true, DicomAlwaysAllowFind: true, DicomAlwaysAllowGet: true, DicomAlwaysAllowMove: true,
    DicomWeb: { Enable: true, Root: '/dicomweb/plugin/', Ssl: false },
  });
  return { program: 'Orthanc', file: join(folder, 'orthanc.json'), args: [], config, storage };
}

// start runs dcmqrscp and Orthanc with the volume, and resolves to their names, the entries of PACS_FILE and counts for each, the Study
// Instance UID, pixels(uid), slice(k) and stop(). plugins are those of Orthanc. Counting costs time: without counted, there is no proxy.
export async function start({ plugins = [], counted = true } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'archives-'));
  const [qrscpPort, orthancPort, httpPort] = await freePorts(3);
  const children = [];
  const stops = [];
  const stop = async () => {
    for (const end of stops) end();
    await Promise.all(children.map((child) => {
      if (child.exitCode !== null || child.signalCode !== null) return undefined;
      child.kill('SIGTERM');
      return once(child, 'exit');
    }));
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const { program, files } = await generate(folder);
    const pacs = [
      { name: 'qrscp', aeTitle: 'QRSCP', port: qrscpPort, ...qrscp(folder, qrscpPort) },
      { name: 'orthanc', aeTitle: 'ORTHANC', port: orthancPort, ...orthanc(folder, orthancPort, httpPort, plugins) },
    ];
    await Promise.all(pacs.map(async (p) => {
      await mkdir(p.storage);
      await writeFile(p.file, p.config);
      const child = spawn(p.program, [...p.args, p.file], {
        cwd: folder, stdio: 'ignore', env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
      });
      child.on('error', () => {});
      children.push(child);
      await listening(p.port, child);
      await run(program, ['-slices', String(slices), '-store', `${p.aeTitle}@127.0.0.1:${p.port}`]);
      p.entry = { host: '127.0.0.1', port: p.port, ae_title: p.aeTitle, calling_ae_title: 'GATEWAY' };
      if (counted) {
        const proxy = await counter(p.port);
        stops.push(proxy.stop);
        p.entry.port = proxy.port;
        p.counts = proxy.counts;
      }
    }));
    // JSON is YAML.
    const pacsFile = join(folder, 'pacs.yaml');
    await writeFile(pacsFile, JSON.stringify({ pacs: Object.fromEntries(pacs.map((p) => [p.name, p.entry])) }));
    return { ...(await read(files)), pacs, pacsFile, folder, httpPort, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
