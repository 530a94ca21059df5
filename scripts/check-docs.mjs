// Holds the documents to the code: links lead somewhere, every export is described, the C mapping is the one that the comments give,
// every departure that a comment owns up to has its line in docs/differences.md. `--write` writes docs/c-mapping.md anew.
// Run by `npm test`; a first argument that is a folder is checked in the project's place (its own tests do).
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const args = process.argv.slice(2);
const write = args.includes('--write');
const root = args.find((arg) => !arg.startsWith('--')) ?? join(dirname(fileURLToPath(import.meta.url)), '..');
const problems = [];

const read = (name) => (existsSync(join(root, name)) ? readFileSync(join(root, name), 'utf8') : '');

function files(dir, pattern) {
  if (!existsSync(join(root, dir))) return [];
  return readdirSync(join(root, dir), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((name) => !name.includes('node_modules/'))
    .toSorted();
}

/** Links to files of the project; an anchor, and what is on the net, is not looked at. */
function checkLinks(name) {
  const prose = read(name).replaceAll(/```[\s\S]*?```/g, '');
  for (const [, target] of prose.matchAll(/\]\(([^)\s#]+)(?:#[^)]*)?\)/g)) {
    if (/^[a-z]+:/.test(target)) continue;
    if (!existsSync(join(root, dirname(name), decodeURI(target)))) problems.push(`${name}: the link to ${target} leads nowhere`);
  }
}

/** The names that src/index.ts re-exports: the public interface. */
function publicNames() {
  const index = read('src/index.ts');
  const whole = [...index.matchAll(/export\s+\*\s+from\s+'\.\/([^']+)\.js'/g)].flatMap(([, module]) =>
    [...read(`src/${module}.ts`).matchAll(/^export (?:const|let|function|class|interface|type) (\w+)/gm)].map((match) => match[1]),
  );
  const named = [...index.matchAll(/export\s+(?:type\s+)?\{([^}]*)\}/g)]
    .flatMap((match) => match[1].replaceAll(/\/\/.*$/gm, '').split(','))
    .map((name) =>
      name
        .trim()
        .replace(/^type\s+/, '')
        .replace(/^.*\sas\s+/, ''),
    )
    .filter((name) => name !== '');
  return [...whole, ...named];
}

const DECLARATION = /^\s*(?:(?:export|declare|abstract|async)\s+)*(?:function\*?|class|const|let|interface|type|enum)\s+(\w+)/;
const FIELD = /^\s*(?:readonly\s+)?(\w+)\??\s*[:(<]/;

/** Every `@pg C_Name` with what is declared below its comment; a field with the type that it belongs to. */
function mapping() {
  return files('src', /\.ts$/).flatMap((file) => {
    const text = read(file);
    return [...text.matchAll(/\/\*\*(?:(?!\*\/)[\s\S])*?@pg\s+([^\n*]+?)\s*(?:\n(?:(?!\*\/)[\s\S])*)?\*\//g)].map((match) => {
      const below = text.slice(match.index + match[0].length);
      const owner = text
        .slice(0, match.index)
        .match(/(?:interface|class)\s+\w+(?![\s\S]*(?:interface|class)\s+\w+)/)?.[0]
        .split(/\s+/)[1];
      const name = DECLARATION.exec(below)?.[1] ?? (owner && FIELD.exec(below) && `${owner}.${FIELD.exec(below)[1]}`);
      if (!name) problems.push(`${file}: @pg ${match[1]} stands above no declaration`);
      return { c: match[1], name, file };
    });
  });
}

function mappingPage(rows) {
  const sorted = rows.toSorted((a, b) => (a.c.toLowerCase() < b.c.toLowerCase() ? -1 : 1));
  const cells = [['C', 'bgworker', 'File'], ...sorted.map((row) => [`\`${row.c}\``, `\`${row.name}\``, `[${row.file}](../${row.file})`])];
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((row) => row[column].length)));
  const line = (row) => `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`;
  const table = [line(cells[0]), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...cells.slice(1).map(line)];
  return `# C names\n\nGenerated from the \`@pg\` tags in \`src/\` by \`node scripts/check-docs.mjs --write\`.\n\n${table.join('\n')}\n`;
}

function checkMapping() {
  const rows = mapping();
  const page = mappingPage(rows);
  if (write) writeFileSync(join(root, 'docs/c-mapping.md'), page);
  else if (read('docs/c-mapping.md') !== page) problems.push('docs/c-mapping.md is not what the @pg tags say: node scripts/check-docs.mjs --write');
}

function checkApi() {
  const api = read('docs/api.md');
  for (const name of publicNames()) {
    if (!new RegExp(`\\b${name}\\b`).test(api)) problems.push(`docs/api.md does not describe ${name}, which src/index.ts exports`);
  }
}

/** A departure is written down twice: where it is, and in the list. The list names the file. */
function checkDifferences() {
  const list = read('docs/differences.md');
  for (const file of [...files('src', /\.ts$/), ...files('native', /\.(c|cc|h)$/)]) {
    if (/DIFFERS FROM POSTGRES:/.test(read(file)) && !list.includes(file))
      problems.push(`docs/differences.md does not name ${file}, which differs from PostgreSQL somewhere`);
  }
}

['README.md', 'CHANGELOG.md', ...files('docs', /\.md$/), ...files('examples', /\.md$/)].forEach(checkLinks);
// A tree without a public interface has nothing to describe yet.
if (existsSync(join(root, 'src/index.ts'))) {
  checkMapping();
  checkApi();
  checkDifferences();
}
for (const line of problems) process.stderr.write(`${line}\n`);
process.exitCode = problems.length > 0 ? 1 : 0;
