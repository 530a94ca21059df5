// The harness itself: what a test with a postmaster gets, and that nothing of it is left. With a stand-in for the postmaster, so that it can misbehave.
// Tests: test/helpers/postmaster.ts, leftovers.ts.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type PostmasterOptions, fixture, isAlive, processState, waitUntil, withPostmaster } from '../../helpers/index.js';

const program = fixture('stand-in-postmaster.mjs');
const standIn = (settings: PostmasterOptions['settings'] = {}): PostmasterOptions => ({ program, settings });

describe('withPostmaster', () => {
  it('gives the test a postmaster that is ready, in a data directory of ours', async () => {
    await withPostmaster(standIn({ max_worker_processes: 3 }), async (pm) => {
      expect(pm.status()).toBe('ready');
      expect(existsSync(join(pm.dir, 'BGWORKER_VERSION'))).toBe(true);
      expect(await pm.waitForLog(/settings: .*/)).toContain('"max_worker_processes":"3"');
      expect(processState(pm.pid)).toMatch(/[RS]/);
      expect(pm.children()).toHaveLength(1);
    });
  });

  it('returns what the test returns, and leaves neither process nor directory', async () => {
    const { pids, dir } = await withPostmaster(standIn(), (pm) => ({ pids: [pm.pid, ...pm.children()], dir: pm.dir }));
    expect(pids.filter(isAlive)).toEqual([]);
    expect(existsSync(dirname(dir))).toBe(false);
  });

  it('stop() returns the exit status', async () => {
    await withPostmaster(standIn(), async (pm) => {
      expect(await pm.stop('fast')).toBe(0);
      expect(pm.log()).toContain('received SIGINT');
      expect(() => pm.signal('SIGTERM')).toThrow('ended with status 0');
    });
    await withPostmaster(standIn(), async (pm) => expect(await pm.stop('immediate')).toBe(1));
  });

  it('gives 128 + number for one that a signal ended', async () => {
    await withPostmaster(standIn(), async (pm) => {
      const [child] = pm.children();
      pm.signal('SIGKILL');
      expect(await pm.exited).toBe(137);
      process.kill(child!, 'SIGKILL');
    });
  });

  it('fails with the log when the postmaster does not come up', async () => {
    const run = withPostmaster(standIn({ 'stand_in.exit': 3 }), () => {});
    await expect(run).rejects.toThrow(/ended with status 3 before it was ready\n--- log\nsettings: .*"stand_in.exit":"3"/);
  });

  it('passes the error of the test on, after ending everything', async () => {
    let pid = 0;
    const run = withPostmaster(standIn(), (pm) => {
      pid = pm.pid;
      throw new Error('the test failed');
    });
    await expect(run).rejects.toThrow('the test failed');
    expect(processState(pid)).toBeNull();
  });

  it('fails, and kills, where a process is left', async () => {
    let child = 0;
    const run = withPostmaster({ ...standIn({ 'stand_in.orphan': 'on' }), endTimeoutMs: 300 }, (pm) => {
      child = pm.children()[0]!;
    });
    await expect(run).rejects.toThrow(/the postmaster's processes to be gone, and killed them:\n\d+ .*sleep 600/);
    expect(isAlive(child)).toBe(false);
  });

  it('ends a postmaster that does not want to, and says so', async () => {
    let pid = 0;
    const run = withPostmaster({ ...standIn({ 'stand_in.stubborn': 'on' }), endTimeoutMs: 300 }, (pm) => {
      pid = pm.pid;
    });
    await expect(run).rejects.toThrow(/waited for the postmaster to stop \(fast\)[^]*waited for the postmaster to stop \(immediate\)/);
    expect(isAlive(pid)).toBe(false);
  });
});

describe('waitUntil', () => {
  it('returns what the condition gives as soon as that is true', async () => {
    let calls = 0;
    expect(await waitUntil(() => (++calls === 3 ? 'third' : null), { what: 'the third call' })).toBe('third');
    expect(calls).toBe(3);
  });

  it('says what it waited for, and how things stood', async () => {
    await expect(waitUntil(() => false, { timeoutMs: 20, what: () => 'a miracle; 0 seen' })).rejects.toThrow(
      'timed out after 0.02 s: waited for a miracle; 0 seen',
    );
  });
});
