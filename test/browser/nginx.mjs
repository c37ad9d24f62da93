// Runs nginx as samples/proxies configures it for people, in front of a gateway.
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import { freePorts } from './gateway.mjs';

const template = new URL('../../samples/proxies/nginx/gateway.conf.template', import.meta.url);
const user = 'ann', password = 'right';

// authorization is what callers send.
export const authorization = `Basic ${btoa(`${user}:${password}`)}`;

async function listening(port, child) {
  for (const deadline = Date.now() + 20_000; Date.now() < deadline;) {
    if (child.exitCode !== null) throw new Error('nginx has ended');
    const socket = net.connect(port, '127.0.0.1');
    const open = await once(socket, 'connect').then(() => true, () => false);
    socket.destroy();
    if (open) return;
    await new Promise((passed) => setTimeout(passed, 20));
  }
  throw new Error('nginx does not listen');
}

// startNginx runs nginx with its files in folder and resolves to its URL and stop().
export async function startNginx(folder, gateway) {
  await mkdir(folder);
  const file = (name) => join(folder, name);
  const [port] = await freePorts(1);
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=proxy', '-addext', 'subjectAltName=IP:127.0.0.1',
    '-keyout', file('key'), '-out', file('certificate')], { stdio: 'ignore' });
  await writeFile(file('users'), `${user}:{SHA}${createHash('sha1').update(password).digest('base64')}\n`);
  const settings = {
    GATEWAY: new URL(gateway).host, GATEWAY_KEY: 'the-key-of-nginx', SERVER_NAME: 'proxy', LISTEN: `127.0.0.1:${port}`, USERS_FILE: file('users'),
    CERTIFICATE_FILE: file('certificate'), CERTIFICATE_KEY_FILE: file('key'), ACCESS_LOG: 'off',
  };
  const sample = (await readFile(template, 'utf8'))
    .replace(/\$\{(\w+)\}/g, (_, name) => settings[name]).replace('off dicom_gateway', 'off')
    .replace('rate=10r/s', 'rate=1000r/s').replace(/limit_conn +dicom_running/, '# $&');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`).join(' ');
  await writeFile(file('nginx.conf'), `daemon off; pid nginx.pid; worker_processes 1; error_log stderr crit;
${process.getuid() === 0 ? 'user root;' : ''}
events {}
http {
access_log off; ${temporary}
${sample}
}
`);
  const child = spawn('nginx', ['-e', 'stderr', '-p', folder, '-c', file('nginx.conf')], {
    stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
  });
  const ended = once(child, 'exit');
  await listening(port, child);
  return {
    url: `https://127.0.0.1:${port}`,
    certificate: await readFile(file('certificate'), 'utf8'),
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
