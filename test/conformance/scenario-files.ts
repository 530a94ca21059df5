// Reads scenario files. Runs in the judge. A file that is not of the format is the caller's mistake; words that the language does not have are a failure of
// their scenario (language.ts).

import { readFileSync } from 'node:fs';
import { notAScenario, type Scenario } from './language.js';

/** @throws Error which names the file, and the scenario in it */
export function readScenarioFile(file: string): Scenario[] {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file, 'utf8'));
  } catch (err) {
    throw new Error(`could not read "${file}": ${(err as Error).message}`, { cause: err });
  }
  if (!Array.isArray(content)) throw new Error(`"${file}" is no list of scenarios`);
  const ids = new Set<string>();
  return content.map((value: unknown, index) => {
    const name = (value as { id?: unknown } | null)?.id;
    const which = typeof name === 'string' ? `"${name}"` : `number ${index + 1}`;
    const problem = notAScenario(value);
    if (problem !== null) throw new Error(`"${file}": scenario ${which} is none: ${problem}`);
    if (ids.has(name as string)) throw new Error(`"${file}" has two scenarios ${which}`);
    ids.add(name as string);
    return { ...(value as Scenario), file };
  });
}
