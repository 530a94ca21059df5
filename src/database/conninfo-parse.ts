// Connection strings: both of libpq's forms, `key=value …` and `postgresql://…`, as a map of libpq's keywords. Pure; any process.
// PostgreSQL: conninfo_parse and conninfo_uri_parse_options, src/interfaces/libpq/fe-connect.c.
// DIFFERS FROM POSTGRES: libpq's messages quote what it could not read; where that may be a password, or a piece of one, ours hide it.

import { ErrorData } from '../elog/error-data.js';
import { ERRCODE_FEATURE_NOT_SUPPORTED, ERRCODE_INVALID_PARAMETER_VALUE } from '../elog/errcodes.js';

export type Conninfo = Partial<Record<string, string>>;

const HIDDEN = '********';

/** Keywords that mean something here: conninfo.ts, conninfo-tls.ts and connect.ts translate them. The last line has what a client without GSSAPI may pass over. */
const KEYWORDS = new Set(
  [
    'service servicefile host hostaddr port dbname user password passfile connect_timeout client_encoding options application_name fallback_application_name',
    'keepalives keepalives_idle keepalives_interval keepalives_count tcp_user_timeout target_session_attrs channel_binding',
    'sslmode sslnegotiation sslcert sslkey sslpassword sslrootcert sslcrl ssl_min_protocol_version ssl_max_protocol_version sslcompression',
    'krbsrvname gsslib gssdelegation',
  ]
    .join(' ')
    .split(' '),
);

/**
 * libpq's, which our client cannot honour, with those values that ask for nothing: others are refused, as passing over them could do the wrong thing
 * silently.
 */
const HARMLESS: Readonly<Record<string, readonly string[]>> = {
  gssencmode: ['disable', 'prefer'],
  load_balance_hosts: ['disable'],
  max_protocol_version: ['3.0'],
  min_protocol_version: ['3.0'],
  oauth_client_id: [],
  oauth_client_secret: [],
  oauth_issuer: [],
  oauth_scope: [],
  replication: ['false', 'off', 'no', '0'],
  require_auth: [],
  requirepeer: [],
  scram_client_key: [],
  scram_server_key: [],
  sslcertmode: ['allow'],
  sslcrldir: [],
  sslkeylogfile: [],
  sslsni: ['1'],
};

/** Is this libpq's, with a value that our client cannot honour? */
export function isUnsupported(keyword: string, value: string): boolean {
  return Object.hasOwn(HARMLESS, keyword) && value !== '' && HARMLESS[keyword]?.includes(value) === false;
}

/**
 * Parses a connection string of either form.
 * @throws ErrorData 22023 in libpq's words; 0A000 for what libpq knows and our client does not
 */
export function parseConninfo(text: string): Conninfo {
  const uri = /^postgres(?:ql)?:\/\//.exec(text);
  return uri === null ? parseKeywords(text) : parseUri(text.slice(uri[0].length));
}

function parseKeywords(text: string): Conninfo {
  const result: Conninfo = {};
  let at = 0;
  let previous = '';
  const skipSpace = (): void => {
    while (at < text.length && isSpace(text[at])) at++;
  };
  for (skipSpace(); at < text.length; skipSpace()) {
    const start = at;
    while (at < text.length && text[at] !== '=' && !isSpace(text[at])) at++;
    const keyword = text.slice(start, at);
    skipSpace();
    if (text[at] !== '=') {
      // After `password=` this is the rest of a password with an unquoted blank in it.
      throw invalid(`missing "=" after "${previous === 'password' ? HIDDEN : keyword}" in connection info string`);
    }
    at++;
    skipSpace();
    const quoted = text[at] === "'";
    if (quoted) at++;
    let value = '';
    for (; at < text.length && !(quoted ? text[at] === "'" : isSpace(text[at])); at++) {
      // A backslash makes whatever follows it literal; one at the very end stands for nothing.
      if (text[at] === '\\') at++;
      value += text[at] ?? '';
    }
    if (quoted && at >= text.length) throw invalid('unterminated quoted string in connection info string');
    if (quoted) at++;
    store(result, keyword, value, (name) => `invalid connection option "${name}"`);
    previous = keyword;
  }
  return result;
}

/** `[user[:password]@][host][:port][,…][/dbname][?param=value&…]`, the part after the scheme. */
function parseUri(text: string): Conninfo {
  const result: Conninfo = {};
  let rest = text;
  const credentials = /^([^@/]*)@/.exec(rest);
  if (credentials !== null) {
    const [, user = '', password] = /^([^:]*)(?::(.*))?$/s.exec(credentials[1] ?? '') ?? [];
    if (user !== '') result['user'] = decode(user);
    if (password) result['password'] = decode(password, true);
    rest = rest.slice(credentials[0].length);
  }
  const [, authority = '', dbname, query] = /^([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/s.exec(rest) ?? [];
  const hosts = authority.split(',').map(parseHost);
  if (hosts.some(({ host }) => host !== '')) result['host'] = hosts.map(({ host }) => host).join(',');
  if (hosts.some(({ port }) => port !== '')) result['port'] = hosts.map(({ port }) => port).join(',');
  if (dbname) result['dbname'] = decode(dbname);
  for (const parameter of query ? query.split('&') : []) {
    const [key = '', value, extra] = parameter.split('=');
    if (value === undefined) throw invalid(`missing key/value separator "=" in URI query parameter: "${key}"`);
    if (extra !== undefined) throw invalid(`extra key/value separator "=" in URI query parameter: "${key}"`);
    // JDBC's spelling, which libpq takes too.
    if (key === 'ssl' && value === 'true') result['sslmode'] = 'require';
    else store(result, decode(key), decode(value, key === 'password'), (keyword) => `invalid URI query parameter: "${keyword}"`);
  }
  return result;
}

function parseHost(text: string): { host: string; port: string } {
  const match = /^(?:\[([^\]]*)\]|([^:[]*))(?::(.*))?$/s.exec(text);
  if (match === null) throw invalid('invalid host address in URI', 'An IPv6 address stands in brackets, and a port after them: "[::1]:5432".');
  const [, ipv6, host = '', port = ''] = match;
  if (ipv6 === '') throw invalid('IPv6 host address may not be empty in URI');
  return { host: ipv6 ?? decode(host), port: decode(port) };
}

function store(into: Conninfo, keyword: string, value: string, unrecognized: (keyword: string) => string): void {
  if (Object.hasOwn(HARMLESS, keyword)) {
    if (isUnsupported(keyword, value)) throw unsupported(`connection option "${keyword}" is not supported`);
    return;
  }
  if (!KEYWORDS.has(keyword)) throw invalid(unrecognized(keyword));
  into[keyword] = value;
}

function decode(token: string, secret = false): string {
  const shown = secret ? HIDDEN : token;
  if (/%(?![0-9a-f]{2})/i.test(token)) throw invalid(`invalid percent-encoded token: "${shown}"`);
  if (token.includes('%00')) throw invalid(`forbidden value %00 in percent-encoded value: "${shown}"`);
  try {
    return decodeURIComponent(token);
  } catch {
    throw invalid(`invalid percent-encoded token: "${shown}"`, 'The bytes are not valid UTF-8.');
  }
}

/** C's isspace. */
function isSpace(char: string | undefined): boolean {
  return char !== undefined && ' \t\n\v\f\r'.includes(char);
}

export function unsupported(message: string): ErrorData {
  return new ErrorData({ code: ERRCODE_FEATURE_NOT_SUPPORTED, message });
}

/** Every keyword that libpq has for us, for what comes from elsewhere than a connection string. */
export function isKeyword(keyword: string): boolean {
  return KEYWORDS.has(keyword) || Object.hasOwn(HARMLESS, keyword);
}

function invalid(message: string, detail?: string): ErrorData {
  return new ErrorData({ code: ERRCODE_INVALID_PARAMETER_VALUE, message, detail });
}
