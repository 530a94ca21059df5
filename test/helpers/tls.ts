// Certificates for the length of a test: an authority, and what it signs. Made by openssl, in a directory of the test's.
import { execFileSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

const openssl = (...args: string[]): unknown => execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

export class Authority implements Certificate {
  readonly #dir: string;
  readonly cert: string;
  readonly key: string;

  constructor(dir: string, name = 'ca') {
    this.#dir = dir;
    this.cert = join(dir, `${name}.crt`);
    this.key = join(dir, `${name}.key`);
    openssl('req', '-x509', ...newKey, '-keyout', this.key, '-out', this.cert, '-days', '2', '-subj', `/CN=${name}`);
  }

  /** @param names as subjectAltName has them: `DNS:localhost` */
  issue(commonName: string, names = ''): Certificate {
    const [cert, key, request, extensions] = ['crt', 'key', 'csr', 'ext'].map((end) => join(this.#dir, `${commonName}.${end}`)) as [
      string,
      string,
      string,
      string,
    ];
    openssl('req', ...newKey, '-keyout', key, '-out', request, '-subj', `/CN=${commonName}`);
    writeFileSync(extensions, names === '' ? '' : `subjectAltName=${names}\n`);
    openssl(
      'x509',
      '-req',
      '-in',
      request,
      '-CA',
      this.cert,
      '-CAkey',
      this.key,
      '-CAcreateserial',
      '-days',
      '2',
      '-extfile',
      extensions,
      '-out',
      cert,
    );
    chmodSync(key, 0o600);
    return { cert, key };
  }
}
