// A background worker in twenty lines. It greets every two seconds, and where it fails it is started again five seconds later. To run it without a
// database (as root, add `-c allow_root=on`):  npx bgworker run -D /tmp/hello -c database=none -c shared_preload_libraries=./examples/hello/hello.mjs
import * as bgw from 'bgworker';

export function _PG_init() {
  bgw.registerBackgroundWorker({
    name: 'hello',
    flags: bgw.BGWORKER_SHMEM_ACCESS,
    startTime: bgw.BgWorkerStart_RecoveryFinished,
    restartTime: 5,
    main: hello,
  });
}

export async function hello() {
  bgw.backgroundWorkerUnblockSignals(); // from here on SIGTERM ends it
  for (let n = 1; ; n++) {
    bgw.resetLatch(bgw.myLatch);
    bgw.elog(bgw.LOG, `hello number ${n} from process ${bgw.myProcPid}`);
    await bgw.waitLatch(bgw.myLatch, bgw.WL_LATCH_SET | bgw.WL_TIMEOUT | bgw.WL_EXIT_ON_PM_DEATH, 2000);
  }
}
