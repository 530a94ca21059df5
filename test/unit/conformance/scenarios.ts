// The recorded scenarios, and small ones made up, for the tests of the judge.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Scenario } from '../../conformance/language.js';
import { projectRoot } from '../../helpers/paths.js';

export const recorded: readonly Scenario[] = JSON.parse(readFileSync(join(projectRoot, 'test/conformance/scenarios.json'), 'utf8')) as Scenario[];

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
