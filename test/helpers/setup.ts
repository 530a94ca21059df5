// Runs in each of vitest's worker processes before a test file: hands the run's mark and directory on to whatever the tests start.
//
// Through the environment, and set here, not in the main process: so the workers' own /proc/PID/environ has no mark, and what has one was started by a test.
import { inject } from 'vitest';

process.env['BGWORKER_TEST_RUN'] = inject('bgworkerTestRun');
process.env['BGWORKER_TEST_TMP'] = inject('bgworkerTestTmp');
