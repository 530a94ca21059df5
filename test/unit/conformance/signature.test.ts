// Event files, session lines and log lines in the oracle's form. Pure; see test/conformance/signature.ts.

import { describe, expect, it } from 'vitest';
import { parseEvents } from '../../conformance/event-file.js';
import { parseRegistration, registrationOf } from '../../conformance/registration.js';
import { parseLog } from '../../conformance/server-log.js';
import { historyOf, livesOf, signatureOf, type Seen } from '../../conformance/signature.js';

const line = (seconds: string, pid: number, rest: string): string => `2026-11-22 16:43:${seconds} UTC [${pid}] 00000 ${rest}`;

const LOG = [
  line('00.000', 10, 'DEBUG:  registering background worker "x.y.w"'),
  line('00.001', 10, 'DEBUG:  something else'),
  line('00.002', 10, 'DEBUG:  starting background worker process "x.y.w"'),
  line('00.003', 20, 'ERROR:  first line'),
  '\tand the second',
  line('00.004', 20, 'CONTEXT:  not compared'),
  '\tnor this',
  line('00.005', 10, 'LOG:  too many background workers'),
  line('00.006', 10, 'DETAIL:  Up to 3.'),
  line('00.007', 10, 'HINT:  Fewer.'),
  'FATAL ERROR: of somebody else',
  line('00.200', 10, 'LOG:  background worker "x.y.w" (PID 20) exited with exit code 1'),
  line('01.200', 10, 'DEBUG:  starting background worker process "x.y.w"'),
  line('01.300', 10, 'DEBUG:  background worker "x.y.w" (PID 30) exited with exit code 0'),
  line('01.301', 10, 'DEBUG:  worker notification PID 0 is not valid'),
  line('01.302', 10, 'DEBUG:  worker notification PID 1 is not valid'),
  'not complete yet',
].join('\n');

function seen(fields: Partial<Seen>): Seen {
  return { id: 'x.y', base: '/tmp/b', events: [], log: [], runner: [], sessions: new Map(), clockOffsetMs: 0, ...fields };
}

describe('the event file', () => {
  it('has lines of time, pid, tag and text, of which an unfinished one does not count', () => {
    const events = parseEvents('1500000 20 x.y.w main run=1 arg=0\n2500000 21 x.y.w two\\nlines, one \\\\\n3 4 x.y.w unfin');
    expect(events).toEqual([
      { timeMs: 1.5, pid: 20, tag: 'x.y.w', text: 'main run=1 arg=0' },
      { timeMs: 2.5, pid: 21, tag: 'x.y.w', text: 'two\nlines, one \\' },
    ]);
  });
});

describe('the log', () => {
  it('has records of several lines, and lines that are none', () => {
    const { records, noise } = parseLog(LOG);
    expect(records).toHaveLength(10);
    expect(records[3]).toMatchObject({ pid: 20, level: 'ERROR', code: '00000', message: 'first line\nand the second' });
    expect(records[4]).toMatchObject({ level: 'LOG', detail: 'Up to 3.', hint: 'Fewer.' });
    expect(noise).toEqual(['FATAL ERROR: of somebody else']);
  });
});

describe('signatures', () => {
  it('name the processes that wrote events, and number those of a worker', () => {
    const event = (timeMs: number, pid: number, tag: string, text: string) => ({ timeMs, pid, tag, text });
    const events = [
      event(1, 10, 'pm', 'RegisterBackgroundWorker in _PG_init returned'),
      event(2, 20, 'x.y.pm', 'main run=1 arg=0'),
      event(3, 21, 'x.y.w', 'main run=1 arg=0'),
      event(4, 22, 'x.y.w', 'main run=2 arg=0'),
      event(5, 23, 'x.y.w.kid', 'kid ready pgid==worker:1'),
      event(6, 21, 'x.y.w', 'proc_exit(1)'),
    ];
    expect(signatureOf(seen({ events }))).toEqual([
      'pm: RegisterBackgroundWorker in _PG_init returned',
      'pm#1: main run=1 arg=0',
      'w#1: main run=1 arg=0',
      'w#2: main run=2 arg=0',
      'w.kid: kid ready pgid==worker:1',
      'w#1: proc_exit(1)',
    ]);
  });

  it('have names in the place of pids, and $BASE in that of the folder', () => {
    const events = [{ timeMs: 0, pid: 20, tag: 'x.y.w', text: 'main run=1 arg=0' }];
    const runner = ['s1: status w -> STARTED 20', 's1: status v -> STARTED 99', 's1: got WARNING 01000: PID 20 is no backend'];
    const log = [
      'server process (PID 40) was terminated',
      'background worker "x.y.v" (PID 99) died',
      'worker notification PID 1 is wrong',
      'in /tmp/b/m',
    ];
    const signature = signatureOf(
      seen({
        events,
        runner: runner.map((text, index) => ({ timeMs: index + 1, text })),
        log: log.map((message, index) => ({ epochMs: index + 10, pid: 10, code: '00000', level: 'LOG', message })),
        sessions: new Map([[40, 's1']]),
      }),
    );
    expect(signature).toEqual([
      'w#1: main run=1 arg=0',
      'runner: s1: status w -> STARTED <w#1>',
      'runner: s1: status v -> STARTED <pid>',
      'runner: s1: got WARNING 01000: PID <w#1> is no backend',
      'LOG[LOG] server process (PID <s1>) was terminated',
      'LOG[LOG] background worker "v" (PID <other>) died',
      'LOG[LOG] worker notification PID 1 is wrong',
      'LOG[LOG] in $BASE/m',
    ]);
  });

  it('have of the DEBUG lines the life of workers alone', () => {
    const { records } = parseLog(LOG);
    expect(signatureOf(seen({ log: records }))).toEqual([
      'LOG[DEBUG] registering background worker "w"',
      'LOG[DEBUG] starting background worker process "w"',
      'LOG[ERROR] first line\nand the second',
      'LOG[LOG] too many background workers',
      'LOG[DETAIL] Up to 3.',
      'LOG[HINT] Fewer.',
      'LOG[LOG] background worker "w" (PID <other>) exited with exit code 1',
      'LOG[DEBUG] starting background worker process "w"',
      'LOG[DEBUG] background worker "w" (PID <other>) exited with exit code 0',
      'LOG[DEBUG] worker notification PID 1 is not valid',
    ]);
  });

  it('come with how often each worker was started, how it ended, and when it came back', () => {
    const lives = livesOf('x.y', parseLog(LOG).records);
    expect([...lives.keys()]).toEqual(['w']);
    expect(historyOf(lives.get('w') ?? [])).toEqual({
      starts: 2,
      exits: ['exited with exit code 1', 'exited with exit code 0'],
      restart_gaps_s: [1],
      start_to_start_s: [1.2],
    });
  });
});

describe('registrations', () => {
  it('have defaults', () => {
    expect(registrationOf('x.y', { w: 'w', script: 'x0' })).toEqual({
      name: 'x.y.w',
      flags: 1,
      start: 2,
      restart: -1,
      lib: 'bgworacle',
      func: 'ora_main',
      arg: 0,
      notify: 0,
      extra: 'x.y.w x0',
    });
  });

  it('come as lines too', () => {
    expect(parseRegistration('name=a\nextra=a U;x0\nnotify=self\nrestart=-1\n')).toMatchObject({
      name: 'a',
      extra: 'a U;x0',
      notify: 'self',
      restart: -1,
      flags: 1,
    });
    expect(() => parseRegistration('colour=red')).toThrow(/unrecognized field/);
    expect(() => parseRegistration('nonsense')).toThrow(/unrecognized line/);
  });
});
