// The recorded scenarios, those that we have written ourselves, and small ones made up, for the tests of the judge.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Scenario } from '../../conformance/language.js';
import { projectRoot } from '../../helpers/paths.js';

const read = (file: string): readonly Scenario[] => JSON.parse(readFileSync(join(projectRoot, 'test/conformance', file), 'utf8')) as Scenario[];

/** What a real PostgreSQL did. */
export const recorded: readonly Scenario[] = read('scenarios.json');
/** More of that kind, whose author did not know the judge. */
export const more: readonly Scenario[] = read('scenarios-more.json');
/** For what no recorded scenario uses; each is what the oracle's description and the contract say, and no more. */
export const own: readonly Scenario[] = read('own-scenarios.json');

export function scenarioWith(fields: Partial<Scenario>): Scenario {
  return {
    id: 'x.y',
    group: 'g',
    postgres: '15.20',
    description: '',
    setup: { steps: [] },
    workers: {},
    signature: [],
    stable: true,
    stableOrder: false,
    ...fields,
  };
}
