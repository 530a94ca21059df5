// The audit of a chaos run's log, shown logs that were made up: of each thing that must not be, one line, and it must say so.

import { describe, expect, test } from 'vitest';
import { LogAudit } from '../../chaos/log-audit.js';
import type { WorkerPlan } from '../../chaos/schedule.js';

const POSTMASTER = 4711;
const WORKER = 5001;
const BACKEND = 5002;
const STARTUP = 5004;
const SERVER = 5005;
const END_OF_LIFE = 1000;

const plan = (behaviour: string, arg = 0, name = 'w1'): WorkerPlan => ({
  name,
  type: '',
  behaviour,
  arg,
  flags: 1,
  restartTime: -1,
  startTime: 2,
  notify: true,
  lifeMs: 0,
});

/** A log, and the clock that its reader looks at. */
class Log {
  now = 0;
  readonly audit: LogAudit = new LogAudit(POSTMASTER, () => this.now);

  says(message: string, level = 'LOG', pid = POSTMASTER): this {
    this.audit.line(`2026-11-23 07:00:00.123 UTC [${pid}] ${level}:  ${message}`);
    return this;
  }
  registered(name = 'w1'): this {
    return this.says(`registering background worker "${name}"`, 'DEBUG');
  }
  unregistered(name = 'w1'): this {
    return this.says(`unregistering background worker "${name}"`, 'DEBUG');
  }
  started(name = 'w1'): this {
    return this.says(`starting background worker process "${name}"`, 'DEBUG');
  }
  runs(pid = WORKER, name = 'w1'): this {
    return this.says(`@${name} start`, 'LOG', pid);
  }
  planned(behaviour: string, arg = 0): this {
    this.audit.willRegister(plan(behaviour, arg), END_OF_LIFE);
    return this;
  }
  /** A worker of this plan, from its registration until it runs. */
  with(behaviour: string, arg = 0): this {
    return this.planned(behaviour, arg).registered().started().runs();
  }
  signalled(signal: NodeJS.Signals, pid = WORKER): this {
    this.audit.willSignal(pid, signal);
    return this;
  }
  databaseSignalled(signal: NodeJS.Signals): this {
    this.audit.willSignalDatabase(signal);
    return this.signalled(signal, SERVER);
  }
  terminated(name = 'w1'): this {
    this.audit.willTerminate(name);
    return this;
  }
  /** From here on whoever starts returns. */
  finishing(): this {
    this.audit.willFinish();
    return this;
  }
  /** The clock says so. */
  at(ms: number): this {
    this.now = ms;
    return this;
  }
  exits(status: number, name = 'w1', pid = WORKER): this {
    return this.says(`background worker "${name}" (PID ${pid}) exited with exit code ${status}`);
  }
  dies(signal: number, name = 'w1', pid = WORKER): this {
    return this.says(`background worker "${name}" (PID ${pid}) was terminated by signal ${signal}: whatever it is called`);
  }
  session(): this {
    return this.says(`forked new backend, pid=${BACKEND} socket=20`, 'DEBUG');
  }
  /** The database server goes, by a signal that was sent to it or not. */
  serverDies(signal: number): this {
    return this.says(`database server (PID ${SERVER}) was terminated by signal ${signal}`);
  }
  startupExits(status: number): this {
    return this.says(`startup process (PID ${STARTUP}) exited with exit code ${status}`);
  }
  aborts(): this {
    return this.says('aborting startup due to startup process failure');
  }
  clientLost(pid = BACKEND): this {
    return this.says('connection to client lost', 'FATAL', pid);
  }
  sessionExits(status: number): this {
    return this.says(`server process (PID ${BACKEND}) exited with exit code ${status}`, 'DEBUG');
  }
  crashCycle(): this {
    return this.says('terminating any other active server processes');
  }
  begunAgain(): this {
    return this.says('all server processes terminated; reinitializing');
  }
  /** A worker that crashes by itself, and the cycle that follows. */
  crashed(): this {
    return this.with('segfaults').dies(11).crashCycle();
  }
}

type Story = (log: Log) => unknown;

describe('what must not be', () => {
  const bad: readonly (readonly [string, Story, RegExp])[] = [
    // Registrations and starts.
    ['a start without a registration', (log) => log.started(), /"w1" is started, and is not registered/],
    ['a second start of one that runs', (log) => log.with('idles').started(), /"w1" is started while it runs as 5001/],
    ['a second registration', (log) => log.registered().registered(), /"w1" is registered again/],
    ['an unregistration of nobody', (log) => log.unregistered(), /"w1" is unregistered, and was not registered/],
    ['a start in a crash cycle', (log) => log.crashed().registered('w2').started('w2'), /"w2" is started in a crash cycle/],
    ['a start in a fast shutdown', (log) => log.registered().says('received fast shutdown request').started(), /started in a fast or an immediate/],
    ['a worker that nobody started', (log) => log.runs(), /"w1" runs as 5001, and the log has no start of it/],
    ['a worker that runs twice', (log) => log.with('idles').runs(5003), /"w1" runs twice: 5001 and 5003/],
    // Ends of workers.
    ['an exit of one that did not run', (log) => log.planned('throws').exits(1), /"w1" ended, and did not run/],
    ['an exit of another process', (log) => log.with('returns').exits(0, 'w1', 5003), /"w1" ran as 5001, and the log has: .*5003/],
    ['an exit of a worker without a plan', (log) => log.registered('x').started('x').exits(0, 'x'), /without a reason: .*"x"/],
    ['exit 1 that nobody asked for', (log) => log.with('idles').exits(1), /without a reason: .*exited with exit code 1/],
    ['exit 1 after a signal to another', (log) => log.signalled('SIGTERM', 5003).with('idles').exits(1), /without a reason/],
    ['exit 1 after another signal', (log) => log.signalled('SIGHUP').with('idles').exits(1), /without a reason/],
    ['exit 1 after the termination of another', (log) => log.terminated('w2').with('idles').exits(1), /without a reason/],
    ['exit 2 that nobody asked for', (log) => log.with('idles').exits(2), /without a reason: .*exited with exit code 2/],
    ['exit 2 after SIGTERM', (log) => log.signalled('SIGTERM').with('idles').exits(2), /without a reason/],
    ['SIGKILL from nobody', (log) => log.with('idles').dies(9), /without a reason: .*terminated by signal 9/],
    ['SIGKILL, where SIGTERM was sent', (log) => log.signalled('SIGTERM').with('idles').dies(9), /without a reason/],
    ['SIGSEGV of one that does no such thing', (log) => log.with('busy').dies(11), /without a reason: .*terminated by signal 11/],
    ['exit 0 of one that throws, in the midst of its life', (log) => log.with('throws').exits(0), /without a reason: .*exited with exit code 0/],
    ['exit 0 of one that exits with 5', (log) => log.with('exitsDirty', 5).exits(0), /without a reason/],
    ['exit 6 of one that exits with 5', (log) => log.with('exitsDirty', 5).exits(6), /without a reason/],
    ['exit 1 of one that exits with 0', (log) => log.with('procExits', 0).exits(1), /without a reason/],
    [
      'exit 0 of a static worker, which stays',
      (log) => log.registered('static one').started('static one').exits(0, 'static one'),
      /without a reason/,
    ],
    [
      'exit 1 of a worker’s worker that was left alone',
      (log) => log.with('parent', 0).registered('w1.5001').started('w1.5001').exits(1, 'w1.5001', 5003),
      /without a reason: .*"w1\.5001"/,
    ],
    ['exit 0 of a worker whose parent nobody knows', (log) => log.registered('w9.5001').started('w9.5001').exits(0, 'w9.5001'), /without a reason/],
    // Sessions.
    ['exit 1 of a session', (log) => log.session().sessionExits(1), /without a reason: server process/],
    ['exit 1 of a session when another has lost its client', (log) => log.session().clientLost(5003).sessionExits(1), /without a reason/],
    ['exit 2 of a session', (log) => log.session().sessionExits(2), /without a reason: server process/],
    ['exit 2 of a session that has lost its client', (log) => log.session().clientLost().sessionExits(2), /without a reason/],
    // The startup process and the database server.
    ['a startup process that exits 1', (log) => log.startupExits(1).crashCycle(), /without a reason: startup process \(PID 5004\)/],
    ['… 0', (log) => log.startupExits(0), /without a reason: startup process/],
    ['a server that nobody killed', (log) => log.serverDies(9).crashCycle(), /without a reason: database server \(PID 5005\)/],
    ['a worker that fails, with its server well', (log) => log.with('queries').exits(1), /without a reason: .*"w1"/],
    ['… with its server told to reload', (log) => log.databaseSignalled('SIGHUP').with('queries').exits(1), /without a reason: .*"w1"/],
    ['exit 2 of one whose server was killed', (log) => log.databaseSignalled('SIGKILL').with('queries').exits(2), /without a reason: .*"w1"/],
    ['exit 1 of one that asks no server', (log) => log.databaseSignalled('SIGKILL').with('idles').exits(1), /without a reason: .*"w1"/],
    ['a start given up for nothing', (log) => log.aborts(), /aborting startup due to startup process failure: nobody ended/],
    ['… after the end of a worker', (log) => log.with('returns').exits(0).aborts(), /aborting startup .*: background worker "w1"/],
    // Crash cycles.
    ['a cycle without a death', (log) => log.crashCycle(), /a crash cycle without a crash: nobody ended/],
    ['a cycle after an exit 1', (log) => log.with('throws').exits(1).crashCycle(), /a crash cycle without a crash: .*exit code 1/],
    // The log itself.
    ['a line that somebody wrote past the log', (log) => log.audit.line('hello'), /a line that is no record of the log: hello/],
    ['a WARNING of the postmaster', (log) => log.says('worker took too long', 'WARNING'), /the postmaster says: WARNING: worker took too long/],
    ['an ERROR of the postmaster', (log) => log.says('sorry, too many clients already', 'ERROR'), /the postmaster says: ERROR/],
    ['a refusal that is none', (log) => log.says('no pg_hba.conf entry', 'FATAL'), /the postmaster says: FATAL/],
    ['a PANIC of a child', (log) => log.says('stuck spinlock', 'PANIC', WORKER), /PANIC of 5001: stuck spinlock/],
    ['a word after the last', (log) => log.says('database system is shut down').says('one more thing'), /is down and says: one more thing/],
  ];

  test.each(bad)('%s', (_, story, complaint) => {
    const log = new Log();
    story(log);
    expect(log.audit.violations).toHaveLength(1);
    expect(log.audit.violations[0]).toMatch(complaint);
  });

  test('a long run without a start, an exit, a session: what it reads has another form than it knows', () => {
    const log = new Log();
    log.audit.expectEvidence();
    expect(log.audit.violations).toEqual(
      ['starts', 'said', 'exits', 'sessions', 'sessionEnds'].map((what) => `there was nothing to judge: no ${what}`),
    );
    const other = new Log().with('returns').exits(0).session().sessionExits(0);
    other.audit.expectEvidence();
    expect(other.audit.violations).toEqual([]);
  });
});

describe('what may be', () => {
  const good: readonly (readonly [string, Story])[] = [
    ['a life', (log) => log.with('returns').unregistered().exits(0)],
    ['a restart', (log) => log.with('throws').exits(1).started().runs(5003)],
    ['a fork that failed, and another', (log) => log.registered().started().says('could not fork worker process: Cannot allocate memory').started()],
    ['exit 1 after SIGTERM', (log) => log.signalled('SIGTERM').with('idles').exits(1)],
    ['exit 1 after a termination', (log) => log.terminated().with('idles').exits(1)],
    ['exit 2 after SIGQUIT', (log) => log.signalled('SIGQUIT').with('idles').exits(2).crashCycle()],
    ['SIGKILL that was sent', (log) => log.signalled('SIGKILL').with('idles').dies(9).crashCycle()],
    ['SIGSEGV of one that does it', (log) => log.crashed().begunAgain()],
    ['an exit with the argument', (log) => log.with('exitsDirty', 5).exits(5).crashCycle()],
    [
      'an exit 0 at the end of a life',
      (log) =>
        log
          .at(END_OF_LIFE + 1)
          .with('throws')
          .exits(0),
    ],
    ['an exit 0 when all are told to return', (log) => log.finishing().with('throws').exits(0)],
    ['a static worker that returns then', (log) => log.finishing().registered('static one').started('static one').exits(0, 'static one')],
    ['a worker’s worker that its parent ends', (log) => log.with('parent', 2).registered('w1.5001').started('w1.5001').exits(1, 'w1.5001', 5003)],
    ['a worker’s worker that returns', (log) => log.with('parent', 0).registered('w1.5001').started('w1.5001').exits(0, 'w1.5001', 5003)],
    ['an end of any kind in a crash cycle', (log) => log.session().crashed().registered('w2').sessionExits(2)],
    ['exit 1 in a fast shutdown', (log) => log.with('idles').says('received fast shutdown request').exits(1)],
    ['a session that was closed', (log) => log.session().sessionExits(0)],
    ['a session that was closed during a call', (log) => log.session().clientLost().sessionExits(1)],
    ['a session that was told to go', (log) => log.signalled('SIGTERM', BACKEND).session().sessionExits(1)],
    [
      'a crash of a session, which is said at two levels',
      (log) => log.signalled('SIGQUIT', BACKEND).session().sessionExits(2).sessionExits(2).crashCycle(),
    ],
    ['a startup process that was told to go', (log) => log.signalled('SIGTERM', STARTUP).startupExits(1).crashCycle()],
    ['a server that was killed, and who asked it', (log) => log.databaseSignalled('SIGKILL').with('queries').exits(1).serverDies(9).crashCycle()],
    ['a server that dies in a crash cycle', (log) => log.crashed().serverDies(9)],
    ['a start given up', (log) => log.databaseSignalled('SIGKILL').serverDies(9).aborts()],
    ['a refusal in a crash cycle', (log) => log.says('the database system is in recovery mode', 'FATAL')],
    ['what belongs to the record before', (log) => log.says('Failed process was running: SELECT 1', 'DETAIL').audit.line('\tFROM t')],
    ['what process.abort() writes', (log) => log.audit.line('----- Native stack trace -----')],
    ['an error of a worker', (log) => log.says('chaos: thrown', 'ERROR', WORKER)],
  ];

  test.each(good)('%s', (_, story) => {
    const log = new Log();
    story(log);
    expect(log.audit.violations).toEqual([]);
  });

  test('a crash cycle ends everybody: who ran is counted, and nobody runs', () => {
    const { audit } = new Log().crashed().begunAgain();
    expect(audit.running.size).toBe(0);
    expect(audit.eras).toBe(1);
    const { audit: other } = new Log().registered('w2').started('w2').crashed().begunAgain();
    expect(other.counts.coveredByCrash).toBe(1);
  });
});
