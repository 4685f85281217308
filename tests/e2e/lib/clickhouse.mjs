// A private clickhouse-server (Debian's package of that name, or a present-day one): configuration, ports and data of its own in one
// directory, so that a system-wide server neither helps nor suffers.
//
//   const ch = await startClickhouse(dir);          // null where the program is not installed
//   await ch.ask('SELECT 1 AS one');                // [{one: 1}]
//   await ch.stop();
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { delimiter, join } from 'node:path';
import { freePort } from './vitrine.mjs';

const READY_MS = 120_000;
const PLACES = ['/usr/sbin', '/usr/bin', '/usr/local/bin', ...(process.env.PATH ?? '').split(delimiter)];

/** The path of clickhouse-server, or undefined. Debian puts it into /usr/sbin, which few have on their PATH. */
export function clickhouseServer() {
  return PLACES.map((dir) => join(dir, 'clickhouse-server')).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

const config = (dir, [http, tcp, inner]) => `<yandex>
  <logger><level>warning</level><log>${dir}/server.log</log><errorlog>${dir}/server.err</errorlog></logger>
  <http_port>${http}</http_port><tcp_port>${tcp}</tcp_port><interserver_http_port>${inner}</interserver_http_port>
  <listen_host>127.0.0.1</listen_host><timezone>UTC</timezone>
  <path>${dir}/data/</path><tmp_path>${dir}/data/tmp/</tmp_path><user_files_path>${dir}/data/user_files/</user_files_path>
  <format_schema_path>${dir}/data/format_schemas/</format_schema_path>
  <mark_cache_size>268435456</mark_cache_size>
  <users_config>${dir}/users.xml</users_config><default_profile>default</default_profile><default_database>default</default_database>
</yandex>
`;
const users = (threads) => `<yandex>
  <profiles><default><max_memory_usage>8000000000</max_memory_usage>${threads ? `<max_threads>${threads}</max_threads>` : ''}</default></profiles>
  <users><default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default></users>
  <quotas><default></default></quotas>
</yandex>
`;

export class Clickhouse {
  constructor(child, dir, [http, tcp]) {
    Object.assign(this, { child, dir, tcp, pid: child.pid, url: `http://127.0.0.1:${http}/` });
    this.exit = once(child, 'close');
  }

  /** The answer as text; throws with the server's words. `settings` go into the URL. */
  async text(sql, { body, ...settings } = {}) {
    const url = new URL(this.url);
    for (const [name, value] of Object.entries(body === undefined ? settings : { ...settings, query: sql })) url.searchParams.set(name, value);
    const response = await fetch(url, { method: 'POST', body: body ?? sql, ...(body && typeof body === 'object' ? { duplex: 'half' } : {}) });
    const text = await response.text();
    if (!response.ok) throw new Error(`ClickHouse: ${text}\nfor: ${sql.slice(0, 2000)}`);
    return text;
  }

  /** Rows as objects, numbers as numbers. */
  async ask(sql, settings) {
    return JSON.parse(await this.text(`${sql} FORMAT JSON`, { output_format_json_quote_64bit_integers: 0, ...settings })).data;
  }

  /** A file of statements, as clickhouse-client --multiquery takes it: SET is kept for what follows. */
  async script(sql) {
    const settings = {};
    for (const statement of sql.replace(/^\s*--.*$/gm, '').split(';').map((part) => part.trim()).filter(Boolean)) {
      const [, name, value] = statement.match(/^SET\s+(\w+)\s*=\s*(\S+)$/i) ?? [];
      if (name) settings[name] = value;
      else await this.text(statement, settings);
    }
  }

  async stop() {
    this.child.kill('SIGTERM');
    const late = setTimeout(() => this.child.kill('SIGKILL'), 120_000);
    await this.exit;
    clearTimeout(late);
  }
}

/** Starts a server in `dir`, which may hold one's data already. */
export async function startClickhouse(dir, { threads } = {}) {
  const program = clickhouseServer();
  if (!program) return null;
  const ports = [await freePort(), await freePort(), await freePort()];
  await mkdir(join(dir, 'data'), { recursive: true });
  await writeFile(join(dir, 'config.xml'), config(dir, ports));
  await writeFile(join(dir, 'users.xml'), users(threads));
  const child = spawn(program, [`--config-file=${dir}/config.xml`], { stdio: ['ignore', 'ignore', 'pipe'], cwd: dir });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (log += text));
  const server = new Clickhouse(child, dir, ports);
  const end = Date.now() + READY_MS;
  for (;;) {
    const up = await fetch(new URL('ping', server.url)).then((response) => response.ok, () => false);
    if (up) return server;
    if (child.exitCode !== null || Date.now() > end) throw new Error(`clickhouse-server did not get ready:\n${log.slice(-3000)}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}
