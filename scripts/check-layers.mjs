// Holds the sources to the architecture: which layer may import which, who alone may load the addon and fork, how long a file may be, that each says
// what it is, and that every "Pairs with X" has an X. The tables below are the architecture; change them together with docs/architecture.md.
// Run by `npm test`; `node scripts/check-layers.mjs [ROOT]` checks another tree (its own tests do).
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '..');

/** The rooms of the state machine, files of src/postmaster/. Decisions and nothing else: plain values in, plain values out, so that a test needs no process. */
const STATE_MACHINE = 'state state-types draft registry schedule reap shutdown connections guard fold strsignal wait-status'
  .split(' ')
  .map((name) => `postmaster/${name}.ts`);
/** All that they may import, besides each other. */
const PURE_IMPORTS = /^elog\//;

/** From the bottom up: a file imports from its own row and from the rows above it here. A path is a file or a folder of src/; the longest that fits counts. */
const LAYERS = [
  ['elog', 'constants.ts', 'globals.ts', 'native.ts', 'node-support.ts', 'version.ts'],
  ['guc'],
  ['shmem'],
  ['ipc'],
  ['bgworker', 'session/protocol.ts'],
  ['shm-mq'],
  ['launch'],
  STATE_MACHINE,
  ['postmaster'],
  ['worker', 'session', 'database'],
  ['cli', 'index.ts', 'postmaster/main.ts', 'postmaster/child-main.ts', 'postmaster/database-server.ts'], // what is started, or imported from outside: these wire the rest together
];

/** What only these files may say, and why the others may not. */
const ONLY_IN = [
  { what: /\.node['"`]|process\.dlopen/, where: /^native\.ts$/, why: 'loads the addon' },
  { what: /\bnative\.fork\b|\{[^}]*\bfork\b[^}]*\}\s*(from\s*['"][^'"]*native\.js|=\s*native\b)/, where: /^launch\//, why: 'forks' },
  { what: /from 'pg'|import\('pg'\)/, where: /^database\//, why: 'speaks to a database' },
  { what: /from 'commander'/, where: /^cli\//, why: 'reads a command line' },
];

/** The C core is tested alone, without Node: nothing of Node's in it. */
const NODE_HEADERS = /^\s*#\s*include\s*[<"](node|node_api|node_api_types|js_native_api|js_native_api_types|napi|napi-inl|uv|v8[\w-]*)\.h[>"]/m;

/** Lines in a file, at most. */
const MAX_LINES = { src: 300, native: 400 };
const WITH_HEADER = ['src', 'native', 'test', 'scripts', 'bench', 'examples'];

const problems = [];
const problem = (file, text) => problems.push(`${relative(root, file)}: ${text}`);

/** All files below root/dir whose names match. */
function files(dir, pattern) {
  const top = join(root, dir);
  if (!existsSync(top)) return [];
  return readdirSync(top, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !file.includes('/node_modules/'))
    .toSorted();
}

/** The code of a file without its comment lines; a comment after code stays, which does no harm here. */
const code = (text) => text.replaceAll(/^\s*(\/\/|\/?\*).*$/gm, '');

/** Every module that a file names: static, re-exported, dynamic, or for its types alone. */
function imports(text) {
  return [...code(text).matchAll(/(?:\bfrom|\bimport)\s*\(?\s*['"]([^'"]+)['"]/g)].map((match) => match[1]);
}

/** The row of a file in the table, by the longest entry that fits; -1 for none. */
function layerOf(file) {
  const fits = LAYERS.flatMap((row, index) =>
    row.filter((entry) => file === entry || file.startsWith(`${entry}/`)).map((entry) => ({ entry, index })),
  );
  return fits.toSorted((a, b) => b.entry.length - a.entry.length)[0]?.index ?? -1;
}

function checkImports(path) {
  const src = join(root, 'src');
  const file = relative(src, path);
  const text = readFileSync(path, 'utf8');
  const mine = layerOf(file);
  if (mine < 0) problem(path, 'is in no layer: give it a place in the table of scripts/check-layers.mjs');
  const pure = STATE_MACHINE.includes(file);
  for (const specifier of imports(text)) {
    const target = specifier.startsWith('.') ? relative(src, normalize(join(dirname(path), specifier))).replace(/\.js$/, '.ts') : specifier;
    if (pure && !PURE_IMPORTS.test(target) && !STATE_MACHINE.includes(target)) problem(path, `is pure, and may not import "${specifier}"`);
    if (!specifier.startsWith('.')) continue;
    if (target.startsWith('..')) problem(path, `imports "${specifier}", which is outside of src/`);
    else if (layerOf(target) > mine) problem(path, `imports "${specifier}", which is in a later layer (${LAYERS[layerOf(target)].join(', ')})`);
  }
  for (const rule of ONLY_IN) {
    if (!rule.where.test(file) && rule.what.test(code(text))) problem(path, `${rule.why}, which only ${rule.where.source} may`);
  }
  if (file === 'index.ts' && /\S/.test(code(text).replaceAll(/export\s+(type\s+)?(\*|\{[^}]*\})(\s+as\s+\w+)?\s*from\s*'[^']+';/g, '')))
    problem(path, 're-exports only: anything else belongs into a layer');
}

function checkShape(path, dir) {
  const text = readFileSync(path, 'utf8');
  const lines = text.split('\n').length - 1;
  if (lines > (MAX_LINES[dir] ?? Infinity)) problem(path, `has ${lines} lines; at most ${MAX_LINES[dir]} are readable in one go`);
  if (!/^(#!.*\n)?\s*\/[/*]/.test(text))
    problem(path, 'has no header comment: say what it is, which process runs it, which file of PostgreSQL it answers to');
}

/** "Pairs with the load in noticeSlotChanges()." must name something that exists: what it names ends a reader's search, or begins a bug hunt. */
function checkPairs(sources) {
  const texts = new Map(sources.map((path) => [path, readFileSync(path, 'utf8')]));
  const words = new Set([...texts.values()].flatMap((text) => code(text).match(/[A-Za-z_]\w*/g) ?? []));
  for (const [path, text] of texts) {
    const prose = text.replaceAll(/\s*\n\s*(\/\/|\*(?!\/))[ \t]*/g, ' ');
    for (const [, sentence] of prose.matchAll(/[Pp]airs with ([^\n]*?)(?=\.\s|\.$|;|:\s|\*\/|\n|$)/gm)) {
      // What is a name rather than a word: in backquotes, called(), camelCase, PascalCase, snake_case, CAPITALS.
      const names = [...sentence.matchAll(/`([^`]+)`|([A-Za-z_]\w*)\(\)|\b([a-z]+[A-Z]\w*|[A-Z][a-z]+[A-Z]\w*|\w+_\w+|[A-Z]{2,}\w*)\b/g)].map(
        (match) => match[1] ?? match[2] ?? match[3],
      );
      if (names.length === 0) problem(path, `"Pairs with ${sentence}" names no identifier`);
      for (const name of names.flatMap((part) => part.match(/[A-Za-z_]\w*/g) ?? [])) {
        if (!words.has(name)) problem(path, `"Pairs with ${sentence}": there is no ${name}`);
      }
    }
  }
}

const typescript = files('src', /\.ts$/);
const native = files('native', /\.(c|cc|h)$/);
typescript.forEach(checkImports);
for (const dir of WITH_HEADER) files(dir, /\.(ts|mjs|cjs|js|c|cc|h)$/).forEach((path) => checkShape(path, dir));
for (const path of files('native/core', /\.(c|cc|h)$/)) {
  const header = NODE_HEADERS.exec(readFileSync(path, 'utf8'));
  if (header) problem(path, `includes ${header[1]}.h: the core knows nothing of Node`);
}
checkPairs([...typescript, ...native]);

for (const line of problems) process.stderr.write(`${line}\n`);
process.exitCode = problems.length > 0 ? 1 : 0;
